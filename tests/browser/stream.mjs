// Streaming as execution in a page: a throttled server, and when the first result comes.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { attempt, check, finish, tinyModel } from "../web/lib/web.mjs";
import { launch, serve, withPage } from "./lib/browser.mjs";

const bytes = readFileSync(tinyModel());
const size = bytes.length;
let lastByte = 0;
const models = createServer(async (_, response) => {
  response.writeHead(200, { "content-length": size, "access-control-allow-origin": "*" });
  for (let at = 0; at < size; at += 16384) {
    await new Promise((resolve) => setTimeout(resolve, 40));
    if (at + 16384 >= size) lastByte = performance.timeOrigin + performance.now();
    response.write(bytes.subarray(at, at + 16384));
  }
  response.end();
});
await new Promise((resolve) => models.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${models.address().port}/m.gguf`;
const site = await serve();
const browser = await launch();

for (const [on, mode, options] of [
  ["worker", "plain", {}],
  ["two threads", "isolated", { threads: 2 }],
  ["page's thread", "plain", { worker: false }],
]) {
  await attempt(on, () =>
    withPage(browser, `${site.base}/${mode}/classic.html`, async (page) => {
      const r = await page.evaluate(
        async ([source, settings]) => {
          const now = () => performance.timeOrigin + performance.now();
          const side = 320;
          const data = Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i));
          const input = { input: { data, shape: [1, 3, side, side] } };
          const m = await wasmformer.load(source, { stream: true, ...settings });
          const loaded = now();
          const { output } = await m.run(input);
          const result = now();
          await m.complete;
          const again = await m.run(input);
          const takes = now();
          await m.run(input);
          const { streamed, threads } = m.info;
          m.free();
          return {
            loaded,
            result,
            takes: now() - takes,
            streamed,
            threads,
            same: output.data.every((v, i) => v === again.output.data[i]),
          };
        },
        [url, options],
      );
      const after = r.result - lastByte;
      check(
        `loaded before the last byte, result after (${on})`,
        r.loaded < lastByte && after > 0,
        JSON.stringify([r, lastByte]),
      );
      check(
        `nodes ran while bytes were on their way (${on}): ${(100 * r.streamed).toFixed(0)} %`,
        r.streamed > 0.5 && r.same,
      );
      check(
        `the result follows the last byte by ${after.toFixed(0)} ms; a run takes ${r.takes.toFixed(0)} (${on})`,
        after <= (1 - r.streamed) * r.takes + 150,
        JSON.stringify(r),
      );
    }),
  );
}
await browser.close();
models.closeAllConnections();
models.close();
site.close();
finish();
