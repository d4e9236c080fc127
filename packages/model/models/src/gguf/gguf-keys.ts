import { CheckpointError, type GgufFile, type GgufValue } from '@graftjs/checkpoint';

/** The shortest decimal that a float32 means: 1e-5, not 0.000009999999747. */
export function shortestDecimal(value: number): number {
  for (let digits = 1; digits <= 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** Reads the metadata of one architecture of a GGUF file, each value checked. */
export class GgufKeys {
  readonly file: string;
  readonly arch: string;
  readonly #values: ReadonlyMap<string, GgufValue>;

  constructor(gguf: GgufFile, arch: string) {
    this.file = gguf.name;
    this.arch = arch;
    this.#values = gguf.keyValues;
  }

  /** A key, `{arch}.` written for the architecture's own. @throws CheckpointError where it is no number */
  number(key: string): number | undefined {
    const name = this.#name(key);
    const value = this.#values.get(name);
    if (value === undefined || typeof value === 'number') return value;
    throw this.error(`${name} is not one number`);
  }

  /** @throws CheckpointError where it is missing or no number */
  needed(key: string): number {
    const value = this.number(key);
    if (value === undefined) throw this.error(`${this.#name(key)} is missing from its metadata`);
    return value;
  }

  /** A float32 by its {@link shortestDecimal}. */
  decimal(key: string): number | undefined {
    const value = this.number(key);
    return value === undefined ? undefined : shortestDecimal(value);
  }

  text(key: string): string | undefined {
    const value = this.#values.get(this.#name(key));
    return typeof value === 'string' ? value : undefined;
  }

  error(
    what: string,
    hint = 'Use a model that llama.cpp converted for inference, unchanged',
  ): CheckpointError {
    return new CheckpointError(this.file, what, hint);
  }

  #name(key: string): string {
    return key.replace('{arch}', this.arch);
  }
}
