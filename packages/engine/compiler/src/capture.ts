import { type HostArray, type Tensor, type TensorSpec, Variable } from '@graftjs/tensor';
import type { Explanation } from './explain.ts';
import type { ProgramRequest } from './plan-request.ts';
import type { Program } from './program.ts';
import type { Runtime } from './runtime.ts';

/** Host data that a captured step is called with. */
export interface StepInput extends TensorSpec {
  readonly data: HostArray;
}

/** Tensors by name as a graph is built from them. */
export type StepTensors<T> = { readonly [Name in keyof T]?: Tensor };
/** The same names with host data, or with what is known of it. */
export type StepInputs<T, Input = StepInput> = { readonly [Name in keyof T]: Input };

/** The graph of a captured step does not use one of its inputs: whatever that holds changes nothing. */
export class UnusedInputError extends TypeError {
  override readonly name = 'UnusedInputError';
  readonly input: string;

  constructor(input: string) {
    super(`the graph of the step does not use its input ${input}: build the graph with it, or leave it out`);
    this.input = input;
  }
}

interface Entry {
  readonly variables: ReadonlyMap<string, Variable>;
  readonly program: Promise<Program>;
}

/**
 * A step as a function of host data. Its graph is built and compiled once for each signature, which is the names,
 * shapes and dtypes of its inputs; later calls with that signature write the inputs and replay one submission.
 * Whatever differs from call to call must be an input or a variable: a JavaScript number in `build` is a constant of
 * the graph.
 *
 * ```ts
 * const step = new CapturedStep(runtime, ({ x, y }: { x: Tensor; y: Tensor }) => {
 *   const loss = lossOf(x, y);
 *   return { outputs: [loss], updates: optimizer.update(gradients(loss, parameters)).updates };
 * });
 * const [loss] = await step.run({ x: { data, shape: [8, 128], dtype: 'i32' }, y: … });
 * ```
 */
export class CapturedStep<T extends StepTensors<T>> {
  readonly #runtime: Runtime;
  readonly #build: (inputs: T) => ProgramRequest;
  readonly #entries = new Map<string, Entry>();
  #submitted: Promise<unknown> = Promise.resolve();

  constructor(runtime: Runtime, build: (inputs: T) => ProgramRequest) {
    this.#runtime = runtime;
    this.#build = build;
  }

  /** Compiles what a call with inputs of these shapes needs. @throws UnusedInputError */
  async prepare(inputs: StepInputs<T, TensorSpec>): Promise<void> {
    await this.#entryFor(inputs).program;
  }

  /** What a call with inputs of these shapes costs. @throws UnusedInputError */
  async explain(inputs: StepInputs<T, TensorSpec>): Promise<Explanation> {
    return (await this.#entryFor(inputs).program).explain();
  }

  /**
   * Runs once; calls are submitted in the order in which they were made. Gives the outputs when the device has them.
   * @throws UnusedInputError
   */
  async run(inputs: StepInputs<T>): Promise<HostArray[]> {
    const { results } = await this.submit(inputs);
    return results;
  }

  /** As {@link run}, but done as soon as the work is submitted: `results` are awaited on their own, or never. */
  async submit(inputs: StepInputs<T>): Promise<{ readonly results: Promise<HostArray[]> }> {
    const { variables, program } = this.#entryFor(inputs);
    const submission = Promise.all([program, this.#submitted]).then(([ready]) => {
      for (const [name, { data }] of entriesOf<StepInput>(inputs)) variables.get(name)!.set(data);
      const results = ready.run();
      // where an earlier step ends everything nobody waits: a failure then must not end the process
      results.catch(() => {});
      return { results };
    });
    this.#submitted = submission.catch(() => {});
    return submission;
  }

  #entryFor(inputs: StepInputs<T, TensorSpec>): Entry {
    const specs = entriesOf<TensorSpec>(inputs);
    const key = specs.map(([name, { dtype, shape }]) => `${name}:${dtype}[${shape}]`).join();
    const known = this.#entries.get(key);
    if (known) return known;
    const variables = new Map(
      specs.map(([name, { shape, dtype }]) => [name, new Variable(shape, undefined, { dtype, name })]),
    );
    const entry = { variables, program: this.#compile(variables) };
    entry.program.catch(() => this.#entries.delete(key));
    this.#entries.set(key, entry);
    return entry;
  }

  async #compile(variables: ReadonlyMap<string, Variable>): Promise<Program> {
    const program = await this.#runtime.compile(this.#build(Object.fromEntries(variables) as unknown as T));
    for (const [name, variable] of variables)
      if (!program.variables.includes(variable)) throw new UnusedInputError(name);
    return program;
  }
}

/** In one order, whatever the caller's. */
const entriesOf = <V>(inputs: object): [string, V][] =>
  Object.entries(inputs as Record<string, V>)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
