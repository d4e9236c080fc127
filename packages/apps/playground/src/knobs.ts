import { quickstartRecipe, type Recipe } from '@graftjs/quickstart';
import { byId, make } from './dom.ts';

/** What the reader may set, and what else an address may set. */
type Knob = 'steps' | 'rank' | 'alpha' | 'learningRate';
type Hidden = 'seed' | 'batchSize' | 'blockLength' | 'evaluations' | 'heldOutExamples' | 'sampleTokens';

interface KnobText {
  readonly label: string;
  /** One sentence: what it does, and when to change it. */
  readonly about: string;
  readonly min: number;
  readonly max: number;
  readonly step: number | 'any';
}

const knobs: Readonly<Record<Knob, KnobText>> = {
  steps: {
    label: 'Steps',
    about: 'How many batches are learnt from: more learn more, until the held-out loss rises again.',
    min: 1,
    max: 5000,
    step: 1,
  },
  rank: {
    label: 'Rank',
    about: 'How many directions of each layer may change: higher fits more and makes a larger file.',
    min: 1,
    max: 64,
    step: 1,
  },
  alpha: {
    label: 'Alpha',
    about: 'How strongly the change counts, as alpha over rank: twice the rank is a good start.',
    min: 1,
    max: 256,
    step: 1,
  },
  learningRate: {
    label: 'Learning rate',
    about: 'How far each step goes: lower it where the loss jumps, raise it where it hardly moves.',
    min: 0.00001,
    max: 0.1,
    step: 'any',
  },
};

const hidden: readonly Hidden[] = [
  'seed',
  'batchSize',
  'blockLength',
  'evaluations',
  'heldOutExamples',
  'sampleTokens',
];

/** For a software adapter, on which the recipe would take too long for a first look. */
const recipeOnCpu = {
  steps: 40,
  batchSize: 4,
  evaluations: 4,
  heldOutExamples: 8,
  sampleTokens: 32,
} as const satisfies Partial<Recipe>;

/** The form of settings; an address such as `?steps=200&rank=8` presets it. */
export class Knobs {
  readonly #form = byId<HTMLFormElement>('settings');
  readonly #inputs = new Map<Knob, HTMLInputElement>();
  readonly #preset = new Map<string, number>();

  constructor(address: URLSearchParams) {
    for (const [name, text] of address) {
      const value = Number(text);
      if (text.trim() !== '' && Number.isFinite(value) && value > 0) this.#preset.set(name, value);
    }
    for (const [name, { label, about, ...limits }] of Object.entries(knobs) as [Knob, KnobText][]) {
      const id = `knob-${name}`;
      const value = this.#preset.get(name) ?? quickstartRecipe[name];
      const input = make('input', {
        id,
        name,
        type: 'number',
        inputMode: 'decimal',
        required: true,
        min: String(limits.min),
        max: String(limits.max),
        step: String(limits.step),
        value: String(value),
      });
      input.setAttribute('aria-describedby', `${id}-about`);
      this.#inputs.set(name, input);
      this.#form.append(
        make(
          'div',
          { className: 'knob' },
          make('label', { htmlFor: id, textContent: label }),
          input,
          make('p', { id: `${id}-about`, className: 'note', textContent: about }),
        ),
      );
    }
  }

  /** Less of everything where it runs on the processor, unless the reader or the address chose. */
  suggestForCpu(): void {
    const { steps } = this;
    for (const [name, value] of Object.entries(recipeOnCpu))
      if (!this.#preset.has(name)) this.#preset.set(name, value);
    if (steps === quickstartRecipe.steps)
      this.#inputs.get('steps')!.valueAsNumber = this.#preset.get('steps')!;
  }

  get steps(): number {
    return this.#inputs.get('steps')!.valueAsNumber;
  }

  /** The settings, or undefined where one is out of its range, which the form then points out. */
  read(): Partial<Recipe> | undefined {
    if (!this.#form.reportValidity()) return undefined;
    const shown = [...this.#inputs].map(([name, input]) => [name, input.valueAsNumber]);
    const preset = hidden.flatMap((name) => {
      const value = this.#preset.get(name);
      return value === undefined ? [] : [[name, value]];
    });
    return Object.fromEntries([...shown, ...preset]);
  }

  set disabled(disabled: boolean) {
    for (const input of this.#inputs.values()) input.disabled = disabled;
  }

  /** Enter in a field. */
  onSubmit(listener: () => void): void {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      listener();
    });
  }
}
