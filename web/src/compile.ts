/* From the address of a .wasm file to a compiled module, streamed where the server gives the right
   content type. The hash that was built into the script must match: so a page never runs an engine
   of another version, or one that a CDN altered. */
import { fail } from "./errors.ts";
import { builtin, inNode } from "./node.ts";
import { moduleFacts, moduleUrl, type Files, type WasmFile } from "./place.ts";

/** An engine that the caller holds. What it imports says which of the builds it is. */
async function given(
  engine: BufferSource | WebAssembly.Module,
  name: WasmFile,
): Promise<WebAssembly.Module> {
  let module: WebAssembly.Module;
  try {
    module = engine instanceof WebAssembly.Module ? engine : await WebAssembly.compile(engine);
  } catch (error) {
    throw fail(
      "ARGUMENT",
      "engine",
      `what was given as engine is no module that runs here (${(error as Error).message}); give ` +
        `the bytes of wasmformer-${name}.wasm`,
    );
  }
  const threads = WebAssembly.Module.exports(module).some((e) => e.name === "__wasm_init_tls");
  if (threads !== name.endsWith("-mt")) {
    throw fail(
      "ARGUMENT",
      "engine",
      `the engine that was given is a build ${threads ? "with" : "without"} threads; ` +
        `wasmformer-${name}.wasm is needed here, or load(…, {threads: 1}) and a build without`,
    );
  }
  return module;
}

export async function compileModule(
  files: Files,
  name: WasmFile,
  engine?: BufferSource | WebAssembly.Module,
): Promise<WebAssembly.Module> {
  if (engine !== undefined) {
    return given(engine, name);
  }
  const url = moduleUrl(files, name);
  if (url.startsWith("file:") && inNode()) {
    return WebAssembly.compile(await builtin("node:fs/promises").readFile(new URL(url)));
  }
  const { integrity } = moduleFacts(name);
  const get = async (): Promise<Response> => {
    let response: Response;
    try {
      response = await fetch(url, { integrity, credentials: "same-origin" });
    } catch (error) {
      throw fail(
        "NETWORK",
        url,
        `${url} could not be loaded (${(error as Error).message}); it must lie beside the ` +
          "script, be of the same build, and come with CORS headers if it is on another site",
      );
    }
    if (!response.ok) {
      throw fail(
        "NETWORK",
        url,
        `${url} was answered with status ${response.status}; the .wasm files of web/dist must ` +
          "lie beside the script",
      );
    }
    return response;
  };
  const response = await get();
  if (
    typeof WebAssembly.compileStreaming === "function" &&
    response.headers.get("content-type")?.startsWith("application/wasm")
  ) {
    return WebAssembly.compileStreaming(response);
  }
  return WebAssembly.compile(await response.arrayBuffer());
}
