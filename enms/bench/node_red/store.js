// The function node's code: readings into PostgreSQL, many at a time.
// What it shares with itself from message to message was made once, by settings.js.
const it = global.get("batch");
const said = JSON.parse(msg.payload);
it.machines.push(+msg.topic.slice(-5));
it.times.push(said.ts);
const { columns, names } = it;
for (let i = 0; i < names.length; i++) columns[i].push(said[names[i]]);
if (it.machines.length >= it.most) it.flush();
else if (it.timer === null) it.timer = setTimeout(it.flush, it.waitMs);
return null;
