// Trust in a model's bytes: chunk hashes in the header, the pin of a header, the pin of a whole foreign file. One wrong byte
// anywhere is an error that says where, and no answer.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { withoutHashes } from "./lib/gguf.mjs";
import { randomModel } from "./lib/random_model.mjs";
import { attempt, check, dist, errorOf, finish, tinyModel } from "./lib/web.mjs";

const { load, WfArgumentError, WfError, WfIntegrityError } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const bytes = readFileSync(tinyModel());
const picture = { width: 64, height: 64, data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 31) & 255) };

let digests = 0;
let scores = "";

async function answer(source, options = {}) {
  const model = await load(source, options);
  try {
    return { info: model.info, classes: await model.classify(picture, { raw: true }) };
  } finally {
    model.free();
  }
}

/** A copy with one byte changed. */
function altered(at) {
  const copy = Uint8Array.from(bytes);
  copy[at] ^= 1;
  return copy;
}

await attempt("chunk hashes", async () => {
  const plain = await answer(bytes);
  check("a converted file is verified by its chunks", plain.info.verified === "chunks" && /^sha256-.{43}=$/.test(plain.info.integrity), `${plain.info.verified} ${plain.info.integrity}`);
  const pinned = await answer(bytes, { integrity: plain.info.integrity });
  check("the right pin changes nothing", JSON.stringify(pinned.classes) === JSON.stringify(plain.classes));
  const list = await answer(bytes, { integrity: `sha256-${"A".repeat(43)}= ${plain.info.integrity}` });
  check("a list of pins needs one that fits", JSON.stringify(list.classes) === JSON.stringify(plain.classes));
  for (const at of [bytes.length - 5000, bytes.length >> 1, bytes.length - 40]) {
    for (const stream of [false, true]) {
      const error = await errorOf(() => answer(altered(at), { stream }));
      check(`byte ${at} changed${stream ? ", streamed" : ""}: an error names the chunk`, error instanceof WfIntegrityError && /chunk 1 of 1/.test(error.message), String(error));
    }
  }
  for (const at of [bytes.indexOf("wf.header"), 60, bytes.indexOf("wf.image.mean") + 13 + 16, bytes.indexOf("wf.chunks")]) {
    const error = await errorOf(() => answer(altered(at)));
    check(`byte ${at} of the header changed: an error without a pin`, error instanceof WfIntegrityError && /^the header of .* is damaged/.test(error.message), String(error));
  }
  const longer = await errorOf(() => answer(Buffer.concat([bytes, Buffer.alloc(1000)])));
  check("bytes behind the last tensor are an error", longer instanceof WfIntegrityError && /goes on behind the \d+ bytes/.test(longer.message), String(longer));
  const wrong = await errorOf(() => answer(bytes, { integrity: `sha256-${"A".repeat(43)}=` }));
  check("a wrong pin shows what was expected and what came", wrong instanceof WfIntegrityError && wrong.message.includes(plain.info.integrity), String(wrong));
  const forged = await errorOf(() => answer(altered(bytes.indexOf("general.name") + 24), { integrity: plain.info.integrity }));
  check("a changed header does not pass its pin", forged instanceof WfIntegrityError, String(forged));
  const nonsense = await errorOf(() => answer(bytes, { integrity: "md5-abc" }));
  check("a pin that is none is named", nonsense instanceof WfArgumentError && /md5-abc/.test(nonsense.message), String(nonsense));
});

await attempt("a file without hashes", async () => {
  const foreign = Uint8Array.from(withoutHashes(bytes));
  const pin = (b) => `sha256-${createHash("sha256").update(b).digest("base64")}`;
  const free = await answer(foreign);
  check("says that nothing was verified", free.info.verified === "none" && free.info.integrity === undefined, free.info.verified);
  const pinned = await answer(foreign, { integrity: pin(foreign) });
  check("can be pinned whole", pinned.info.verified === "file" && JSON.stringify(pinned.classes) === JSON.stringify(free.classes), pinned.info.verified);
  const last = Uint8Array.from(foreign);
  last[last.length - 40] ^= 1;
  const error = await errorOf(() => answer(last, { integrity: pin(foreign) }));
  check("and then one changed byte is an error", error instanceof WfIntegrityError && error instanceof WfError, String(error));
});

/* crypto.subtle hashes where it is there, the engine where it is not: the same errors and answers. On this thread, so that both can
   be seen and taken away. */
const large = readFileSync(randomModel([32, 64, 160, 256]));
const { subtle } = globalThis.crypto;
const chunks = Math.ceil(large.length / 2 ** 20);
const { getBuiltinModule } = process;
for (const [by, crypto] of Object.entries({
  "crypto.subtle": { subtle: { digest: (how, data) => ((digests += data.length > 0 ? 1 : 0), subtle.digest(how, data)) } },
  "Node's crypto": { subtle: { digest: () => { throw new Error("not here"); } } },
  "the engine": undefined,
})) {
  await attempt(by, async () => {
    process.getBuiltinModule = (name) =>
      name === "node:crypto" && by !== "Node's crypto" ? undefined : getBuiltinModule(name);
    Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true });
    digests = 0;
    const { info, classes } = await answer(large, { worker: false });
    scores ||= JSON.stringify(classes);
    const most = by === "crypto.subtle" ? chunks : 0;
    check(
      `${by}: ${digests} digests of about ${chunks} chunks, the same answer`,
      info.verified === "chunks" && JSON.stringify(classes) === scores && digests <= most && digests >= most - 1,
    );
    for (const [at, stream] of [[large.length - 3e6, false], [large.length - 3e6, true], [large.length - 100, true]]) {
      const copy = Uint8Array.from(large);
      copy[at] ^= 16;
      const error = await errorOf(() => answer(copy, { worker: false, stream }));
      check(
        `${by}: byte ${at} changed${stream ? ", streamed" : ""}`,
        error instanceof WfIntegrityError && /^chunk \d+ of \d+ of /.test(error.message),
        String(error),
      );
    }
    // A server that sends a wrong byte and then nothing more
    const copy = Uint8Array.from(large);
    copy[large.length >> 1] ^= 1;
    const stalls = new ReadableStream({
      start: (c) => c.enqueue(copy.subarray(0, copy.length - 2e6)),
      pull: () => new Promise(() => undefined),
    });
    const error = await errorOf(() => answer(stalls, { worker: false }));
    check(`${by}: a wrong byte is an error while others are waited for`, error instanceof WfIntegrityError, String(error));
  });
}

finish();
