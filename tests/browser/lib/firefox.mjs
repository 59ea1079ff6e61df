// A headless Firefox for the tests, driven by WebDriver BiDi through a WebSocket; not a test. Needs nothing but Firefox itself.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { workFolder } from "../../web/lib/web.mjs";

const START_LIMIT_MS = 60000;

/* Nothing that asks, updates or reports. */
const settings = {
  "app.normandy.enabled": false,
  "app.update.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.systemAddon.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,",
  "toolkit.telemetry.enabled": false,
};

function firefoxPath() {
  if (process.env.WASMFORMER_FIREFOX) return process.env.WASMFORMER_FIREFOX;
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of ["firefox-esr", "firefox"]) {
      if (existsSync(join(folder, name))) return join(folder, name);
    }
  }
  throw new Error("no Firefox on PATH; install it (firefox-esr), or name it in WASMFORMER_FIREFOX");
}

/** Starts the program; resolves with the address that it listens on. */
function listening(child) {
  return new Promise((resolve, reject) => {
    let said = "";
    const late = () => reject(new Error(`Firefox did not listen within ${START_LIMIT_MS / 1000} s: ${said}`));
    const timer = setTimeout(late, START_LIMIT_MS);
    child.on("error", reject);
    child.on("exit", (status) => reject(new Error(`Firefox ended with ${status}: ${said}`)));
    child.stderr.setEncoding("utf8").on("data", (text) => {
      said += text;
      const found = /WebDriver BiDi listening on (ws:\/\/\S+)/.exec(said);
      if (found) {
        clearTimeout(timer);
        resolve(found[1]);
      }
    });
  });
}

/** Commands by number over one socket; events go to `heard`. */
async function connect(address, heard) {
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error(`${address} does not answer`));
  });
  const waiting = new Map();
  let last = 0;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "event") return heard(message);
    const { resolve, reject } = waiting.get(message.id) ?? {};
    waiting.delete(message.id);
    message.type === "error" ? reject?.(new Error(`${message.error}: ${message.message}`)) : resolve?.(message.result);
  };
  socket.onclose = () => waiting.forEach(({ reject }) => reject(new Error("Firefox went away")));
  const send = (method, params = {}) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      socket.send(JSON.stringify({ id: last, method, params }));
    });
  return { send, close: () => socket.close() };
}

/**
 * {version, open, close}; open(address) gives a page of its own, isolated from the others: {evaluate(function, ...arguments),
 * faults, close}. Arguments and results travel as JSON; faults are errors and policy violations that the console was told of.
 */
export async function launchFirefox() {
  mkdirSync(workFolder(), { recursive: true });
  const profile = mkdtempSync(join(workFolder(), "firefox-"));
  const lines = Object.entries(settings).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`);
  writeFileSync(join(profile, "user.js"), lines.join(""));
  const child = spawn(firefoxPath(), ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"], { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const stop = async () => {
    child.removeAllListeners("exit");
    child.kill();
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  try {
    const faults = new Map(); // of each page
    const link = await connect(`${await listening(child)}/session`, ({ params }) => {
      if (params.level === "error") faults.get(params.source.context)?.push(params.text);
    });
    const { capabilities } = await link.send("session.new", { capabilities: {} });
    await link.send("session.subscribe", { events: ["log.entryAdded"] });
    const open = async (address) => {
      const { userContext } = await link.send("browser.createUserContext");
      const { context } = await link.send("browsingContext.create", { type: "tab", userContext });
      faults.set(context, []);
      const go = (url) => link.send("browsingContext.navigate", { context, url, wait: "complete" });
      await go(address);
      return {
        faults: faults.get(context),
        go,
        async evaluate(body, ...values) {
          const { type, result, exceptionDetails } = await link.send("script.callFunction", {
            functionDeclaration: `async (text) => JSON.stringify(await (${body})(...JSON.parse(text)))`,
            arguments: [{ type: "string", value: JSON.stringify(values) }],
            target: { context },
            awaitPromise: true,
          });
          if (type === "exception") throw new Error(exceptionDetails.text);
          return result.type === "undefined" ? undefined : JSON.parse(result.value);
        },
        close: () => link.send("browser.removeUserContext", { userContext }),
      };
    };
    return { version: capabilities.browserVersion, open, close: () => (link.close(), stop()) };
  } catch (error) {
    await stop();
    throw error;
  }
}
