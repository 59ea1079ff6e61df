/* The worker file: an engine of its own, or a thread of another worker's engine, as its first
   message says. */
import { parentEndpoint } from "./endpoint.ts";
import { toWire } from "./errors.ts";
import type { FromEngine, ToEngine } from "./protocol.ts";
import { Server } from "./serve.ts";
import { help } from "./threads.ts";

const end = parentEndpoint();
const server = new Server(end, true);
end.listen(
  (message: ToEngine) => {
    if (message.type === "helper") {
      help(message).catch((error: unknown) =>
        end.post({ type: "refused", error: toWire(error) } satisfies FromEngine),
      );
    } else {
      server.receive(message);
    }
  },
  () => undefined,
);
end.post({ type: "hello" } satisfies FromEngine);
