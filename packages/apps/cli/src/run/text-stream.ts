/**
 * Text from tokens that arrive one by one: gives what is certain. Held back are characters whose bytes are not all
 * there, and ends that may become a stop text.
 */
export class TextStream {
  readonly #decode: (ids: readonly number[]) => string;
  readonly #stops: readonly string[];
  readonly #ids: number[] = [];
  #given = 0;
  #text = '';
  #stopped = false;

  /** @param stops texts that end the stream; they are not given */
  constructor(decode: (ids: readonly number[]) => string, stops: readonly string[] = []) {
    this.#decode = decode;
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Whether a stop text has come. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Everything given so far. */
  get text(): string {
    return this.#text.slice(0, this.#given);
  }

  /** Takes a token and gives the text that has become certain. */
  push(id: number): string {
    if (this.#stopped) return '';
    this.#ids.push(id);
    this.#text = this.#decode(this.#ids);
    const stop = this.#firstStop();
    if (stop !== undefined) {
      this.#stopped = true;
      return this.#giveUpTo(stop);
    }
    const whole = this.#text.replace(/\uFFFD+$/u, '');
    let held = 0;
    for (const each of this.#stops)
      for (let length = Math.min(each.length - 1, whole.length); length > held; length--)
        if (whole.endsWith(each.slice(0, length))) held = length;
    return this.#giveUpTo(whole.length - held);
  }

  /** What was held back, once no more tokens come. */
  end(): string {
    return this.#stopped ? '' : this.#giveUpTo(this.#text.length);
  }

  #firstStop(): number | undefined {
    const found = this.#stops.map((stop) => this.#text.indexOf(stop)).filter((at) => at >= 0);
    return found.length > 0 ? Math.min(...found) : undefined;
  }

  #giveUpTo(end: number): string {
    const text = this.#text.slice(this.#given, end);
    this.#given = Math.max(this.#given, end);
    return text;
  }
}
