import type { Tensor } from '@graftjs/tensor';

/** What is attached to a site: from the value that the model computed to the value that it goes on with. */
export type Attachment<Details> = (value: Tensor, details: Details) => Tensor;

/** How attachments take effect together, given each by its key, where that is not one after another. */
export type Arrangement = <Details>(
  value: Tensor,
  details: Details,
  attached: ReadonlyMap<string, Attachment<Details>>,
) => Tensor;

/**
 * A named place in a model where tuners attach: the model hands over a value with its details, every attachment
 * changes it in turn, in order of attachment, and the model goes on with the result. Models know nothing else of
 * tuners.
 */
export class Site<Details> {
  readonly #attached = new Map<string, Attachment<Details>>();
  #arrangement: Arrangement | undefined;

  /** @throws Error where `key` is taken. */
  attach(key: string, attachment: Attachment<Details>): void {
    if (this.#attached.has(key)) throw new Error(`site: '${key}' is attached here already; detach it first`);
    this.#attached.set(key, attachment);
  }
  detach(key: string): boolean {
    return this.#attached.delete(key);
  }
  has(key: string): boolean {
    return this.#attached.has(key);
  }
  get keys(): readonly string[] {
    return [...this.#attached.keys()];
  }
  /** Undefined: one after another. */
  arrange(arrangement: Arrangement | undefined): void {
    this.#arrangement = arrangement;
  }
  apply(value: Tensor, details: Details): Tensor {
    if (this.#arrangement) return this.#arrangement(value, details, this.#attached);
    let current = value;
    for (const attachment of this.#attached.values()) current = attachment(current, details);
    return current;
  }
}
