// Checks the YAML files that are named: each object by its model's validator, and by its model's type, which knows every
// field. Then each field is misspelt in turn, and must be refused.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { parseAllDocuments } from 'yaml';

const OPERATOR = 'monitoring.coreos.com';
// Maps with free keys.
const FREE = ['labels', 'matchLabels', 'annotations', 'selector', 'limits', 'requests'];
const directory = dirname(fileURLToPath(import.meta.url));

const objects = process.argv.slice(2).flatMap(file =>
  parseAllDocuments(readFileSync(file, 'utf8'), { merge: true }).map(document => {
    const [problem] = document.errors;
    if (problem) throw new Error(`${file}: ${problem.message}`);
    return { file, object: document.toJS() };
  }),
);

const source = ({ apiVersion, kind }) =>
  `${apiVersion.startsWith(OPERATOR) ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models'}/${apiVersion}/${kind}`;

// A line of TypeScript for each value; gives the lines with an error, and what is wrong.
function refused(values) {
  const file = join(directory, 'objects.ts');
  const text = values.map(({ object, type }, index) =>
    `const object${index}: import('${source(type)}').I${type.kind} = ${JSON.stringify(object)};`);
  writeFileSync(file, `${text.join('\n')}\nexport {};\n`);
  const options = { strict: true, noEmit: true, skipLibCheck: true, types: [], module: ts.ModuleKind.NodeNext };
  const program = ts.createProgram([file], { ...options, target: ts.ScriptTarget.ES2022 });
  const found = new Map();
  for (const { file: at, start, messageText } of ts.getPreEmitDiagnostics(program)) {
    const message = ts.flattenDiagnosticMessageText(messageText, ' ');
    if (at?.fileName !== file) throw new Error(message);
    found.set(at.getLineAndCharacterOfPosition(start).line, message);
  }
  return found;
}

// The object once for each of its keys, with that key misspelt.
function* misspelt(value, copy = value, path = [], whole = copy) {
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) {
    if (!Array.isArray(value) && !FREE.includes(path.at(-1))) {
      const other = structuredClone(whole);
      const parent = path.reduce((at, step) => at[step], other);
      parent[`${key}x`] = parent[key];
      delete parent[key];
      yield { path: [...path, key].join('.'), object: other };
    }
    yield* misspelt(value[key], copy, [...path, key], whole);
  }
}

for (const { file, object } of objects) {
  const { [object.kind]: Model } = await import(source(object));
  try {
    new Model(object).validate();
  } catch (error) {
    throw new Error(`${file}: ${object.kind} ${object.metadata.name}: ${error.message}`);
  }
}
const wrong = refused(objects.map(({ object }) => ({ object, type: object })));
for (const [line, message] of wrong) console.error(`${objects[line].file}: ${message}`);
if (wrong.size > 0) process.exit(1);

const variants = objects.flatMap(({ file, object }) =>
  [...misspelt(object)].map(variant => ({ ...variant, file, type: object })));
const found = refused(variants);
const passed = variants.filter((_, index) => !found.has(index));
for (const { file, path } of passed) console.error(`${file}: ${path} may be misspelt`);
if (passed.length > 0) process.exit(1);
const example = variants.findIndex(({ path }) => path.endsWith('httpSDConfigs'));
console.log(`for example: ${found.get(Math.max(example, 0))}`);
console.log(`${objects.length} objects fit their schemas; each of ${variants.length} misspelt fields is refused`);
