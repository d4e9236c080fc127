import type { Runtime } from '@graftjs/compiler';
import { type Attachment, type Context, Embedding, type Module, Parameter } from '@graftjs/nn';
import { broadcastTo, cast, concat, narrow, type Tensor } from '@graftjs/tensor';
import { AdapterStateError, TargetError } from '../errors.ts';
import { writeParameters } from '../state.ts';
import type { AdapterState, AdapterTensor, AttachedAdapter, StateReport } from '../tuner.ts';
import type { PromptConfig } from './config.ts';
import type { PromptEncoder } from './encoder.ts';

/** Where a prompt takes effect. */
export interface PromptPlace {
  readonly site: {
    attach(key: string, attachment: Attachment<{ readonly context: Context }>): void;
    detach(key: string): boolean;
  };
  /** The site's value with the prompt in front of it. */
  readonly change: (value: Tensor, prompt: Tensor) => Tensor;
}

export interface PromptAdapterOptions<C> {
  /** With what the model decided filled in. */
  readonly config: C;
  readonly adapterName: string;
  readonly encoder: PromptEncoder;
  readonly places: readonly PromptPlace[];
  /** Paths of the modules that the places belong to. */
  readonly targets: readonly string[];
  readonly warnings?: readonly string[];
}

/** An adapter that puts what its encoder gives in front of each text. It changes no weight and cannot be merged. */
export class PromptAdapter<C extends PromptConfig> implements AttachedAdapter<C> {
  readonly config: C;
  readonly targets: readonly string[];
  readonly wrapsBase = false;
  readonly warnings: readonly string[];
  readonly #encoder: PromptEncoder;
  readonly #name: string;
  readonly #places: readonly PromptPlace[];
  readonly #key: string;
  /** One prompt for all the places of a pass: the encoder's gradient is computed once. */
  readonly #prompts = new WeakMap<Context, Tensor>();

  constructor(options: PromptAdapterOptions<C>) {
    this.config = options.config;
    this.targets = options.targets;
    this.warnings = options.warnings ?? [];
    this.#encoder = options.encoder;
    this.#name = options.adapterName;
    this.#places = options.places;
    this.#key = `${options.config.peftType} ${options.adapterName}`;
  }

  *namedParameters(): Generator<[string, Parameter]> {
    for (const [path, parameter] of this.#encoder.namedParameters())
      if (!this.#encoder.frozen?.has(parameter)) yield [`prompt_encoder.${this.#name}.${path}`, parameter];
  }

  async toStateDict(runtime: Runtime): Promise<AdapterState> {
    const saved = Object.entries(this.#encoder.saved);
    const values = await runtime.evaluate(saved.map(([, tensor]) => tensor));
    return new Map(
      saved.map(([key, { shape }], i): [string, AdapterTensor] => [
        key,
        { shape, data: values[i] as Float32Array },
      ]),
    );
  }

  fromStateDict(state: AdapterState): StateReport {
    const where = `adapter ${this.#name}`;
    if (this.#encoder.restore) return this.#encoder.restore(where, state);
    const saved = Object.entries(this.#encoder.saved);
    const parameters = new Map(
      saved.filter((entry): entry is [string, Parameter] => entry[1] instanceof Parameter),
    );
    const computed = saved.map(([key]) => key).filter((key) => !parameters.has(key));
    if (computed.length > 0)
      throw new AdapterStateError(
        `${where}: ${computed} is computed by a network, which cannot be found from it`,
        { unexpected: computed },
      );
    return writeParameters(where, parameters, state);
  }

  setActive(active: boolean): void {
    this.detach();
    if (!active) return;
    for (const { site, change } of this.#places)
      site.attach(this.#key, (value, { context }) =>
        // What goes on from a cache has the prompt in it.
        context.continues ? value : change(value, this.#prompt(context)),
      );
  }

  detach(): void {
    for (const { site } of this.#places) site.detach(this.#key);
  }

  #prompt(context: Context): Tensor {
    const known = this.#prompts.get(context);
    if (known) return known;
    const prompt = this.#encoder.forward(context);
    this.#prompts.set(context, prompt);
    return prompt;
  }
}

/**
 * The input embeddings of a model: what it gives as `inputEmbeddings`, of an encoder-decoder the encoder's.
 * @throws TargetError where it names none
 */
export function inputEmbeddings(model: Module): { readonly path: string; readonly layer: Embedding } {
  const { inputEmbeddings: layer } = model as { inputEmbeddings?: unknown };
  const found = [...model.namedModules()].find(([, module]) => module === layer);
  if (found && layer instanceof Embedding) return { path: found[0], layer };
  throw new TargetError('virtual tokens go in front of the input embeddings, and the model names none', {
    asked: null,
    available: [],
  });
}

/**
 * Virtual tokens in front of embedded texts `[b, t, d]`, in their dtype: those of the prompt `[n, d]` or `[b, n, d]`, or
 * `count` of them from `start` on, where the rest is for another place.
 */
export const inFrontOfText = (
  { output: site }: Embedding,
  part?: { readonly start: number; readonly count: number },
): PromptPlace => ({
  site,
  change: (embedded, prompt) => {
    const own = part ? narrow(prompt, -2, part.start, part.count) : prompt;
    const each = [embedded.shape[0]!, ...own.shape.slice(-2)];
    return concat([broadcastTo(cast(own, embedded.dtype), each), embedded], 1);
  },
});
