import { zipSync } from 'fflate';
import { byId, make } from './dom.ts';
import { bytesText, countText } from './format.ts';
import type { RunResult } from './messages.ts';

const folder = 'graft-adapter';

/** Offers the files of an adapter: one by one, or as a .zip. */
export class AdapterCard {
  readonly #card = byId('adapter');
  readonly #button = byId<HTMLButtonElement>('download');
  #files: ReadonlyMap<string, Uint8Array> = new Map();
  /** Addresses of blobs, which hold memory until they are given up. */
  #addresses: string[] = [];

  constructor() {
    this.#button.addEventListener('click', () => this.#downloadAll());
  }

  hide(): void {
    this.#card.hidden = true;
    for (const address of this.#addresses) URL.revokeObjectURL(address);
    this.#addresses = [];
  }

  show({ adapterFiles, trainableParameters, parameters, steps, recipe }: RunResult): void {
    this.#files = adapterFiles;
    byId('adapter-note').textContent =
      `Rank ${recipe.rank}, after ${countText(steps)} steps: ${countText(trainableParameters)} trained numbers beside the ${countText(parameters)} of the base, which stay as they were.`;
    const links = [...adapterFiles].map(([name, bytes]) =>
      make(
        'a',
        { href: this.#address(bytes, 'application/octet-stream'), download: name },
        `${name} (${bytesText(bytes.length)})`,
      ),
    );
    byId('files').replaceChildren('or ', ...links.flatMap((link, i) => (i ? [', ', link] : [link])));
    this.#card.hidden = false;
  }

  #downloadAll(): void {
    const files = Object.fromEntries([...this.#files].map(([name, bytes]) => [`${folder}/${name}`, bytes]));
    // Weights hardly shrink: packing them would only take time.
    const href = this.#address(zipSync(files, { level: 0 }), 'application/zip');
    make('a', { href, download: `${folder}.zip` }).click();
  }

  #address(bytes: Uint8Array, type: string): string {
    const address = URL.createObjectURL(new Blob([bytes as BlobPart], { type }));
    this.#addresses.push(address);
    return address;
  }
}
