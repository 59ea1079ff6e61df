"use strict";
/* The demo without a network. It is network first: whoever has a network sees what the server has now, never an older copy. Beside
   that each version of the site is kept whole, in a cache named after it: all files are fetched and checked against their hashes
   before the version counts, so what is shown offline is one version, complete. Models are none of our business: wasmformer keeps
   them itself. site.mjs puts the list of files here, and any change of a file changes this script; without a list it does nothing. */
const site = null; /* {version, files: {path: "sha256-…"}, later: [paths that are kept only once they were used]} */

const family = "wasmformer-demo-";
const keep = family + site?.version;
const offline = new Set(); /* pages that came from the cache: all that they ask for comes from there, of one version */

const addressOf = (path) => new URL(path, registration.scope).href;

/** Path of the site's file that a request is for; undefined: not one of ours. */
function pathOf(request) {
  const url = new URL(request.url);
  const path = url.href.startsWith(registration.scope) ? url.pathname.slice(new URL(registration.scope).pathname.length) : undefined;
  const listed = path === "index.html" ? "" : path;
  return listed !== undefined && Object.hasOwn(site.files, listed) ? listed : undefined;
}

/** Fetches a file of this very version; anything else is an error. */
async function fetchChecked(path) {
  const request = new Request(addressOf(path), { cache: "no-cache", integrity: site.files[path] });
  const response = await fetch(request);
  if (!response.ok || response.redirected) {
    throw new Error(`${request.url}: status ${response.status}`);
  }
  return response;
}

async function install() {
  const old = await caches.has(keep);
  const cache = await caches.open(keep);
  try {
    const paths = Object.keys(site.files).filter((path) => !site.later.includes(path));
    await Promise.all(paths.map(async (path) => cache.put(addressOf(path), await fetchChecked(path))));
  } catch (error) {
    if (!old) {
      await caches.delete(keep);
    }
    throw error;
  }
}

async function dropOthers() {
  for (const name of await caches.keys()) {
    if (name.startsWith(family) && name !== keep) {
      await caches.delete(name);
    }
  }
}

async function kept(event, path) {
  const response = await (await caches.open(keep)).match(addressOf(path));
  if (response !== undefined && event.resultingClientId) {
    offline.add(event.resultingClientId);
  }
  return response;
}

async function keepLater(path) {
  const cache = await caches.open(keep);
  if ((await cache.match(addressOf(path))) === undefined) {
    await cache.put(addressOf(path), await fetchChecked(path));
  }
}

async function answer(event, path) {
  if (event.request.mode !== "navigate" && offline.has(event.clientId)) {
    const response = await kept(event, path);
    if (response !== undefined) {
      return response;
    }
  }
  try {
    const response = await fetch(event.request);
    if (response.status < 500) {
      if (site.later.includes(path)) {
        event.waitUntil(keepLater(path).catch(() => undefined)); /* the server may have another version by now */
      }
      return response;
    }
    return (await kept(event, path)) ?? response;
  } catch (error) {
    const response = await kept(event, path);
    if (response === undefined) {
      throw error;
    }
    return response;
  }
}

if (site !== null) {
  addEventListener("install", (event) => event.waitUntil(install().then(() => skipWaiting())));
  /* Pages that are open already are not claimed: Firefox then waits for their workers to answer, and a thread that sleeps in wasm never
     does. What they load comes from the network anyway. */
  addEventListener("activate", (event) => event.waitUntil(dropOthers()));
  addEventListener("fetch", (event) => {
    const { request } = event;
    const path = request.method === "GET" && !request.headers.has("range") ? pathOf(request) : undefined;
    if (path !== undefined) {
      event.respondWith(answer(event, path));
    }
  });
}
