import type { Module } from '@graftjs/nn';
import type { InvertibleAdapter } from './invertible.ts';
import { type EmbeddingEnds, embeddingEnds } from './places.ts';

const key = 'invertible adapters';
const places = new WeakMap<Module, InvertiblePlace>();

/** The ends of a model's embeddings. Of the invertible adapters that are active the first one alone counts, as in AdapterHub. */
export class InvertiblePlace {
  readonly #ends: EmbeddingEnds;
  readonly #active = new Map<string, InvertibleAdapter>();

  private constructor(ends: EmbeddingEnds) {
    this.#ends = ends;
  }

  /** One for each model. */
  static of(model: Module): InvertiblePlace {
    const place = places.get(model) ?? new InvertiblePlace(embeddingEnds(model));
    places.set(model, place);
    return place;
  }

  add(name: string, adapter: InvertibleAdapter): void {
    this.#active.set(name, adapter);
    this.#apply();
  }

  remove(name: string): void {
    if (this.#active.delete(name)) this.#apply();
  }

  #apply(): void {
    const { start, end } = this.#ends;
    start.detach(key);
    end?.detach(key);
    const [first] = this.#active.values();
    if (!first) return;
    start.attach(key, (embedded) => first.forward(embedded));
    end?.attach(key, (hidden) => first.inverse(hidden));
  }
}
