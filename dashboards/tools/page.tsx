// One of our boards with the data of a Prometheus, drawn with Grafana's own UI components. Parameters of the page's URL:
// prometheus (its URL), board (fleet or node), instance (a node), since (seconds).
// Bar charts and state timelines are parts of Grafana itself and not of this library: their panels stay empty.

import React from 'react';
import { createRoot } from 'react-dom/client';
import { lastValueFrom } from 'rxjs';
import {
  applyFieldOverrides, createDataFrame, createTheme, DataFrame, dateTime, FieldConfigOptionsRegistry, FieldType,
  getFieldDisplayValues, identityOverrideProcessor, standardTransformers, standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';
import {
  BigValue, BigValueGraphMode, BigValueJustifyMode, GlobalStyles, PanelChrome, Table, ThemeContext, TimeSeries,
} from '@grafana/ui';
import fleet from './fleet.json';
import node from './node.json';

const WIDTH = 1400;
const COLUMN = (WIDTH - 10) / 24;
const ROW = 36;
const STEP = 2;

const parameter = (name: string) => new URLSearchParams(location.search).get(name) ?? '';
const board: any = parameter('board') === 'node' ? node : fleet;
const end = Date.now() / 1000;
const start = end - Number(parameter('since'));
const range: any = { from: dateTime(start * 1000), to: dateTime(end * 1000), raw: { from: 'now', to: 'now' } };
const theme = createTheme({ colors: { mode: 'light' } });
const asItIs = (text: string) => text;

// What Grafana registers when it starts.
const { mergeTransformer, organizeFieldsTransformer } = standardTransformers;
standardTransformersRegistry.setInit(() =>
  [mergeTransformer, organizeFieldsTransformer].map(
    (one: any) => ({ id: one.id, name: one.name, transformation: one, editor: () => null }) as any
  )
);
const registry = new FieldConfigOptionsRegistry();
const register = (path: string, isCustom: boolean) =>
  registry.register({
    id: isCustom ? `custom.${path}` : path, path, isCustom, name: path, settings: {},
    editor: () => null, override: () => null, process: identityOverrideProcessor,
    shouldApply: () => true, getItemsCount: () => 0,
  } as any);
['unit', 'min', 'max', 'decimals', 'displayName', 'noValue', 'mappings', 'thresholds', 'color'].forEach((path) =>
  register(path, false)
);
[
  'drawStyle', 'lineWidth', 'fillOpacity', 'stacking', 'lineInterpolation', 'showPoints', 'spanNulls',
  'axisPlacement', 'axisLabel', 'width', 'cellOptions', 'align', 'inspect', 'filterable',
].forEach((path) => register(path, true));

function substituted(expression: string): string {
  return expression
    .replace(/\$__rate_interval/g, '15s')
    .replace(/\$(job|site)/g, '.*')
    .replace(/\$instance/g, parameter('instance'));
}

async function ask(path: string, query: Record<string, string>): Promise<any[]> {
  const url = `${parameter('prometheus')}/api/v1/${path}?${new URLSearchParams(query)}`;
  const answer = await (await fetch(url)).json();
  if (answer.status !== 'success') {
    throw new Error(answer.error);
  }
  return answer.data.result;
}

async function tableFrame(target: any, isOneOfMany: boolean): Promise<DataFrame[]> {
  const rows = await ask('query', { query: substituted(target.expr), time: String(end) });
  const labels = [...new Set(rows.flatMap((row) => Object.keys(row.metric)))].sort();
  const fields = [
    { name: 'Time', type: FieldType.time, values: rows.map((row) => row.value[0] * 1000), config: {} },
    ...labels.map((label) => ({
      name: label, type: FieldType.string, values: rows.map((row) => row.metric[label] ?? ''), config: {},
    })),
    {
      name: isOneOfMany ? `Value #${target.refId}` : 'Value',
      type: FieldType.number, values: rows.map((row) => Number(row.value[1])), config: {},
    },
  ];
  return rows.length ? [createDataFrame({ refId: target.refId, fields })] : [];
}

async function seriesFrames(target: any): Promise<DataFrame[]> {
  const query = { query: substituted(target.expr), start: String(start), end: String(end), step: String(STEP) };
  return (await ask('query_range', query)).map((series) => {
    const legend = target.legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_: string, l: string) => series.metric[l]);
    const fields = [
      { name: 'Time', type: FieldType.time, values: series.values.map((v: any) => v[0] * 1000), config: {} },
      {
        name: legend, type: FieldType.number, values: series.values.map((v: any) => Number(v[1])),
        labels: series.metric, config: { displayNameFromDS: legend },
      },
    ];
    return createDataFrame({ refId: target.refId, fields });
  });
}

async function frames(panel: any): Promise<DataFrame[]> {
  const isTable = (target: any) => target.format === 'table';
  const answers = panel.targets.map((target: any) =>
    isTable(target) ? tableFrame(target, panel.targets.length > 1) : seriesFrames(target)
  );
  let data: DataFrame[] = (await Promise.all(answers)).flat();
  if (panel.transformations && data.length) {
    data = await lastValueFrom(transformDataFrame(panel.transformations, data));
  }
  // JSON has no -Infinity: Grafana puts it in when it loads a board. Links need its router.
  const text = JSON.stringify(panel.fieldConfig);
  const fieldConfig = JSON.parse(text, (key, value) => (key === 'value' && value === null ? -Infinity : value));
  for (const override of fieldConfig.overrides) {
    override.properties = override.properties.filter((property: any) => property.id !== 'links');
  }
  return applyFieldOverrides({
    data, fieldConfig, fieldConfigRegistry: registry, replaceVariables: asItIs, theme, timeZone: 'utc',
  });
}

function Body({ panel, data, width, height }: any) {
  const { type, options, fieldConfig } = panel;
  if (type === 'barchart' || type === 'state-timeline') {
    return <p style={{ padding: 12, color: '#888' }}>({type}: not drawn by this library)</p>;
  }
  if (!data.length) {
    return <p style={{ padding: 12 }}>{fieldConfig.defaults.noValue}</p>;
  }
  if (type === 'table') {
    return <Table data={data[0]} width={width} height={height} initialSortBy={options.sortBy} />;
  }
  if (type === 'timeseries') {
    const legend = { ...options.legend, displayMode: 'list', calcs: [] };
    return (
      <TimeSeries frames={data} structureRev={1} timeRange={range} timeZone="utc" width={width} height={height}
        legend={legend} options={options} replaceVariables={asItIs} />
    );
  }
  const values = getFieldDisplayValues({
    data, reduceOptions: options.reduceOptions, fieldConfig, replaceVariables: asItIs, theme, timeZone: 'utc',
  });
  return (
    <div style={{ display: 'flex', gap: 6 }}>
      {values.map((value, index) => (
        <BigValue key={index} theme={theme} width={width / values.length - 6} height={height} value={value.display}
          colorMode={options.colorMode} textMode={options.textMode} graphMode={BigValueGraphMode.None}
          justifyMode={BigValueJustifyMode.Auto} />
      ))}
    </div>
  );
}

function Panel({ panel, data }: any) {
  const { x, y, w, h } = panel.gridPos;
  const [width, height] = [w * COLUMN - 8, h * ROW - 8];
  return (
    <div style={{ position: 'absolute', left: x * COLUMN + 4, top: y * ROW, width, height }}>
      {panel.type === 'row' ? (
        <h5 style={{ margin: 0, padding: 6 }}>{panel.title}</h5>
      ) : (
        <PanelChrome title={panel.title} width={width} height={height} padding="none">
          {(innerWidth, innerHeight) => <Body panel={panel} data={data} width={innerWidth} height={innerHeight} />}
        </PanelChrome>
      )}
    </div>
  );
}

async function draw() {
  const filled = await Promise.all(
    board.panels.map(async (panel: any) => ({ panel, data: panel.type === 'row' ? [] : await frames(panel) }))
  );
  const instance = parameter('instance');
  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <h3 style={{ padding: 8 }}>{instance ? `${board.title}: ${instance}` : board.title}</h3>
      <div style={{ position: 'relative' }}>
        {filled.map(({ panel, data }) => <Panel key={panel.id} panel={panel} data={data} />)}
      </div>
    </ThemeContext.Provider>
  );
}

draw().catch((error) => (document.body.textContent = `${error.stack}`));
