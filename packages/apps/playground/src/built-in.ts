import { FileReadError, type Folder, memoryFolder } from '@graftjs/checkpoint';
import { tinyLlamaFiles } from '@graftjs/tiny-llama';

type FileName = keyof typeof tinyLlamaFiles;

const baseFiles = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
] as const satisfies readonly FileName[];

async function fetched(name: FileName): Promise<Uint8Array> {
  const response = await fetch(tinyLlamaFiles[name]).catch((cause: unknown) => {
    throw new FileReadError(name, 'the server of this page does not answer', 'Reload the page', { cause });
  });
  if (!response.ok)
    throw new FileReadError(name, `the server of this page answers ${response.status}`, 'Reload the page');
  return new Uint8Array(await response.arrayBuffer());
}

let base: Promise<Folder> | undefined;

/** The embedded model; its files are fetched once. */
export function builtInBase(): Promise<Folder> {
  base ??= Promise.all(baseFiles.map(async (name) => [name, await fetched(name)] as const)).then((files) =>
    memoryFolder(new Map(files), 'tiny-llama'),
  );
  base.catch(() => {
    base = undefined;
  });
  return base;
}

/** The embedded text, as JSON Lines. */
export const builtInText = async (part: 'train' | 'heldout'): Promise<string> =>
  new TextDecoder().decode(await fetched(`quickstart/${part}.jsonl`));
