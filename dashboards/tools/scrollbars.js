// @grafana/ui imports the default of this module, which esbuild takes to be all of a CommonJS module's exports.
module.exports = require('./node_modules/react-custom-scrollbars-2/lib/index.js').default;
