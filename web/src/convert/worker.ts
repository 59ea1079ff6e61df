/* wasmformer.tools.mjs, the worker file of the tools: one conversion, then it is ended. Apart from
   wasmformer.worker.mjs, so that pages that only run models don't load it. */
import { parentEndpoint } from "../endpoint.ts";
import { fail, toWire, WfError } from "../errors.ts";
import type { ConvertJob, FromTools } from "./protocol.ts";
import { run } from "./run.ts";

const end = parentEndpoint();
const say = (message: FromTools): void => end.post(message);
const sentence = (error: unknown): WfError =>
  error instanceof WfError
    ? error
    : fail("STATE", "convert", `the converter stopped unexpectedly (${String(error)})`);
end.listen(
  (job: ConvertJob) => {
    run(job, say).catch((error: unknown) =>
      say({ type: "refused", error: toWire(sentence(error)) }),
    );
  },
  () => undefined,
);
say({ type: "hello" });
