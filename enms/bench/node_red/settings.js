// Node-RED's settings for the benchmark; what differs from run to run is in given.json beside this file.
const fs = require("fs");
const path = require("path");
const given = JSON.parse(fs.readFileSync(path.join(__dirname, "given.json")));
const { Pool } = require(path.join(given.modules, "pg"));

const pool = new Pool({ connectionString: given.database, max: given.connections });
const columns = given.metrics.map((_, i) => `$${i + 3}::float8[]`).join(", ");
const each = given.metrics.map((_, i) => `v${i}`).join(", ");
const text =
  "INSERT INTO flow_sample (machine_id, ts, arrived, values) " +
  `SELECT machine, ts, now(), ARRAY[${each}] ` +
  `FROM unnest($1::integer[], $2::timestamptz[], ${columns}) AS new (machine, ts, ${each}) ` +
  "ON CONFLICT (machine_id, ts) DO NOTHING";

const batch = {
  names: given.metrics,
  most: given.rows,
  waitMs: given.wait_ms,
  machines: [],
  times: [],
  columns: given.metrics.map(() => []),
  timer: null,
  flush() {
    if (batch.timer !== null) clearTimeout(batch.timer);
    batch.timer = null;
    const values = [batch.machines, batch.times, ...batch.columns];
    batch.machines = [];
    batch.times = [];
    batch.columns = given.metrics.map(() => []);
    // A named statement is planned once a connection.
    pool.query({ name: "store", text, values }).catch((error) => console.error("not stored:", error.message));
  },
};

module.exports = {
  uiHost: "127.0.0.1",
  uiPort: given.port,
  flowFile: "flows.json",
  credentialSecret: given.secret,
  telemetry: { enabled: false, updateNotification: false },
  externalModules: { autoInstall: false, palette: { allowInstall: false } },
  logging: { console: { level: "info", metrics: false, audit: false } },
  functionGlobalContext: { batch },
};
