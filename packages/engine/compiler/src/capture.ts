import { type HostArray, type TensorSpec, Variable } from '@graftjs/tensor';
import type { Explanation } from './explain.ts';
import type { ProgramRequest } from './plan-request.ts';
import type { Program } from './program.ts';
import type { Runtime } from './runtime.ts';

/** Host data that a captured step is called with. */
export interface StepInput extends TensorSpec {
  readonly data: HostArray;
}

/** The variables through which a call's inputs enter the graph. */
export type StepVariables<Name extends string> = Readonly<Record<Name, Variable>>;

interface Entry {
  readonly variables: Readonly<Record<string, Variable>>;
  readonly program: Promise<Program>;
}

/**
 * A step as a function of host data. Its graph is built and compiled once for each signature, which is the shapes and
 * dtypes of its inputs; later calls with that signature write the inputs and replay one submission. Whatever differs
 * from call to call must be an input or a variable: a JavaScript number in `build` is a constant of the graph.
 *
 * ```ts
 * const step = new CapturedStep(runtime, ({ x, y }: StepVariables<'x' | 'y'>) => {
 *   const loss = lossOf(x, y);
 *   return { outputs: [loss], updates: optimizer.update(gradients(loss, parameters)).updates };
 * });
 * const [loss] = await step.run({ x: { data, shape: [8, 128], dtype: 'i32' }, y: … });
 * ```
 */
export class CapturedStep<Name extends string> {
  readonly #runtime: Runtime;
  readonly #build: (inputs: StepVariables<Name>) => ProgramRequest;
  readonly #entries = new Map<string, Entry>();
  #submitted: Promise<unknown> = Promise.resolve();

  constructor(runtime: Runtime, build: (inputs: StepVariables<Name>) => ProgramRequest) {
    this.#runtime = runtime;
    this.#build = build;
  }

  /** Compiles what a call with inputs of these shapes needs. */
  async prepare(inputs: Readonly<Record<Name, TensorSpec>>): Promise<void> {
    await this.#entryFor(inputs).program;
  }

  /** What a call with inputs of these shapes costs. */
  async explain(inputs: Readonly<Record<Name, TensorSpec>>): Promise<Explanation> {
    return (await this.#entryFor(inputs).program).explain();
  }

  /** Runs once; calls are submitted in the order in which they were made. Gives the outputs when the device has them. */
  async run(inputs: Readonly<Record<Name, StepInput>>): Promise<HostArray[]> {
    const { results } = await this.submit(inputs);
    return results;
  }

  /** As {@link run}, but done as soon as the work is submitted: `results` are awaited on their own. */
  submit(inputs: Readonly<Record<Name, StepInput>>): Promise<{ readonly results: Promise<HostArray[]> }> {
    const { variables, program } = this.#entryFor(inputs);
    const submission = Promise.all([program, this.#submitted]).then(([ready]) => {
      for (const name of Object.keys(inputs) as Name[]) variables[name]!.set(inputs[name].data);
      const results = ready.run();
      // awaited later or, where an earlier step ends everything, never: a failure then must not end the process
      results.catch(() => {});
      return { results };
    });
    this.#submitted = submission.catch(() => {});
    return submission;
  }

  #entryFor(inputs: Readonly<Record<Name, TensorSpec>>): Entry {
    const names = (Object.keys(inputs) as Name[]).sort();
    const key = names.map((name) => `${name}:${inputs[name].dtype}[${inputs[name].shape}]`).join();
    const known = this.#entries.get(key);
    if (known) return known;
    const variables = Object.fromEntries(
      names.map((name) => {
        const { shape, dtype } = inputs[name];
        return [name, new Variable(shape, undefined, { dtype, name })];
      }),
    ) as StepVariables<Name>;
    const program = this.#runtime.compile(this.#build(variables));
    program.catch(() => this.#entries.delete(key));
    const entry = { variables, program };
    this.#entries.set(key, entry);
    return entry;
  }
}
