/* Starting the worker, or doing without one. A worker file on another origin (the script comes from
   a CDN) cannot be started directly; it is fetched with the hash that the script carries, and
   started from a blob. */
import { hasWorkers, localPair, startWorker, type Endpoint } from "./endpoint.ts";
import { fail } from "./errors.ts";
import { workerIntegrity } from "./place.ts";
import type { FromEngine } from "./protocol.ts";
import { Server } from "./serve.ts";
import { HelperWorkers } from "./threads.ts";

const HELLO_LIMIT_MS = 15000;
/* A worker that is told to close needs the rest of a slice of work at most. */
const GRACE_MS = 500;

export interface Connection {
  end: Endpoint;
  inWorker: boolean;
  /** Why there is no worker, where there is none. */
  notes: string[];
  onMessage: (message: FromEngine) => void;
  onFailure: (why: string) => void;
  close(): void;
}

const blobs = new Map<string, Promise<string>>();

/* ---- The cross-origin shim: the only blob URL of the package. ----
   The blob holds the worker file itself, checked against its hash, not an import of it, which nothing would check. */
function crossOriginShim(url: string, integrity: string): Promise<string> {
  let blob = blobs.get(url);
  if (blob === undefined) {
    blob = fetch(url, { mode: "cors", credentials: "omit", integrity }).then(
      async (response) => {
        if (!response.ok) {
          throw fail("NETWORK", url, `${url} was answered with status ${response.status}`);
        }
        return URL.createObjectURL(
          new Blob([await response.arrayBuffer()], { type: "text/javascript" }),
        );
      },
    );
    blobs.set(url, blob);
    blob.catch(() => blobs.delete(url));
  }
  return blob;
}

function isForeign(url: string): boolean {
  return (
    typeof location === "object" &&
    typeof Worker === "function" &&
    /^https?:/.test(url) &&
    new URL(url).origin !== location.origin
  );
}

/** Starts the worker file at this address; `integrity` is what it must be where another origin serves it. */
export async function inWorker(url: string, integrity: string): Promise<Connection> {
  const startUrl = isForeign(url) ? await crossOriginShim(url, integrity) : url;
  const end = startWorker(startUrl);
  const nothing = (): void => undefined;
  const helpers = new HelperWorkers(startUrl, (why) => end.post({ type: "lost", why }));
  const connection: Connection = {
    end,
    inWorker: true,
    notes: [],
    onMessage: nothing,
    onFailure: nothing,
    close: () =>
      void end.retire(GRACE_MS).then(() => {
        end.close();
        helpers.close();
      }),
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      connection.onMessage = () => resolve();
      connection.onFailure = (why) => reject(new Error(why));
      timer = setTimeout(
        () => reject(new Error(`it did not answer within ${HELLO_LIMIT_MS / 1000} seconds`)),
        HELLO_LIMIT_MS,
      );
      end.listen(
        (message: FromEngine) =>
          message.type === "thread" ? helpers.start(message.start) : connection.onMessage(message),
        (why) => connection.onFailure(why),
      );
    });
  } catch (error) {
    end.close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return connection;
}

function onThisThread(note: string): Connection {
  const [end, engineEnd] = localPair();
  const server = new Server(engineEnd, false);
  engineEnd.listen(
    (message: never) => server.receive(message),
    () => undefined,
  );
  const close = (): void => {
    server.close();
    end.close();
    engineEnd.close();
  };
  const connection: Connection = {
    end,
    inWorker: false,
    notes: [note],
    onMessage: () => undefined,
    onFailure: () => undefined,
    close,
  };
  end.listen(
    (message: FromEngine) => connection.onMessage(message),
    () => undefined,
  );
  return connection;
}

/** url: the worker file; wanted: false keeps everything on this thread. */
export async function connect(url: string, wanted: boolean): Promise<Connection> {
  if (!wanted) {
    return onThisThread("The engine runs on the calling thread, as asked for.");
  }
  if (!hasWorkers()) {
    return onThisThread("The engine runs on the calling thread: there are no workers here.");
  }
  try {
    return await inWorker(url, workerIntegrity);
  } catch (error) {
    return onThisThread(
      `The engine runs on the calling thread: the worker ${url} could not be started ` +
        `(${(error as Error).message}).`,
    );
  }
}
