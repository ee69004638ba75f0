// Run the worker's bundle as a browser would: `node explorer_worker.mjs FOLDER`, with FOLDER/engine.js and messages.json.
//
// A message {"answered": id, …} is sent when that question was answered, {"told": id, …} when its progress was told.
// Everything that comes back is printed as JSON.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2];
const text = (name) => readFileSync(join(folder, name), "utf8");
const messages = JSON.parse(text("messages.json"));
const back = [];
const self = { postMessage: (message) => { back.push(message); send(); } };
new Function("self", text("engine.js"))(self);

function ready({ answered, told }) {
  const id = answered ?? told;
  return id === undefined || back.some((message) => message.id === id && "progress" in message === (told !== undefined));
}

function send() {
  while (messages.length > 0 && ready(messages[0])) {
    const { method, args, id } = messages.shift();
    const values = args.map((value) => {
      if (value?.text) return text(value.text);
      return value?.rgba ? { ...value, data: new Uint8ClampedArray(readFileSync(join(folder, value.rgba))) } : value;
    });
    setTimeout(() => self.onmessage({ data: { id, method, args: values } }));
  }
}

send();
process.on("exit", () => process.stdout.write(JSON.stringify(back)));
