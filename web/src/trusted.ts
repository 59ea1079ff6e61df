/* Trusted Types: where a page demands them (require-trusted-types-for 'script'), the address of a
   worker must come from a policy. Ours is called "wasmformer". It is made when the first worker is
   started, once in each realm, and nothing outside of this file can reach it. */

interface Policy {
  createScriptURL(url: string): unknown;
}

interface Factory {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): Policy;
}

let policy: Policy | undefined;
let refused = false;

/**
 * What `new Worker` takes: a TrustedScriptURL where there are Trusted Types. Where the page forbids
 * our policy the plain address, which is all that a page without the demand needs.
 */
export function workerAddress(url: string): string {
  const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
  if (factory === undefined || refused) {
    return url;
  }
  try {
    policy ??= factory.createPolicy("wasmformer", { createScriptURL: (address) => address });
  } catch {
    refused = true;
    return url;
  }
  return policy.createScriptURL(url) as string;
}

/** To be said after a worker's start was refused; empty if Trusted Types were not the reason. */
export function trustedTypesHint(): string {
  return refused
    ? "; if the page's policy has require-trusted-types-for 'script', it must name our policy: " +
        "trusted-types wasmformer, with 'allow-duplicates' where both scripts are on one page"
    : "";
}
