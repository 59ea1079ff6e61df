/* Whether two runs over a server's bytes saw the same ones, where the server does not say which
   version it sends. Against accidents, not against an enemy: he could send anything from the first. */

/** Two chained FNV-like words over all bytes, however they are cut. */
export class Sum {
  private h = 0x811c9dc5;
  private g = 0x1234567;
  add(bytes: Uint8Array): void {
    let { h, g } = this;
    for (let i = 0; i < bytes.length; i++) {
      h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
      g = Math.imul(g ^ h, 0x85ebca6b) ^ (g >>> 13);
    }
    this.h = h;
    this.g = g;
  }
  equals(other: Sum): boolean {
    return this.h === other.h && this.g === other.g;
  }
}
