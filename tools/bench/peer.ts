import { type ChildProcess, fork } from 'node:child_process';
import type { Candidate } from './measure.ts';

/** Work that a peer has prepared. */
export interface PeerTask extends Candidate {
  /** Results, to compare with those of others. */
  values(): Promise<ArrayLike<number>>;
  release(): Promise<void>;
}

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: string;
}

/**
 * Another library, in a process of its own: it needs globals that Graft must not see. It does one thing at a time,
 * when asked, so that measurements of several libraries can be interleaved.
 */
export class Peer {
  readonly name: string;
  readonly version: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #calls = 0;

  private constructor(name: string, version: string, child: ChildProcess) {
    this.name = name;
    this.version = version;
    this.#child = child;
    child.on('message', (answer: Answer) => {
      this.#waiting.get(answer.id!)?.(answer);
      this.#waiting.delete(answer.id!);
    });
    child.on('exit', (code) => {
      for (const tell of this.#waiting.values()) tell({ error: `its process ended with code ${code}` });
    });
  }

  /**
   * @param script the library with its tasks, bundled
   * @param patient wait for the device as Graft does on an adapter that runs on the processor
   */
  static async start(name: string, version: string, script: string, patient: boolean): Promise<Peer> {
    const child = fork(script, patient ? ['--patient'] : [], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', process.stderr, 'inherit', 'ipc'],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', (code) => reject(new Error(`${name} does not start: code ${code}`)));
    });
    return new Peer(name, version, child);
  }

  /** @throws Error where the library cannot do it */
  async prepare(kind: string, input: object): Promise<PeerTask> {
    const task = this.#calls;
    await this.#call('prepare', { task, kind, input });
    return {
      name: this.name,
      run: async (times) => (await this.#call('run', { task, times })) as number,
      values: async () => (await this.#call('values', { task })) as ArrayLike<number>,
      release: async () => {
        await this.#call('release', { task });
      },
    };
  }

  close(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  async #call(method: string, args: object): Promise<unknown> {
    if (!this.#child.connected) throw new Error('its process has ended');
    const id = this.#calls++;
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#child.send({ ...args, id, method });
    const { result, error } = await answered;
    if (error !== undefined) throw new Error(error);
    return result;
  }
}
