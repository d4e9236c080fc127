import { type ChildProcess, fork, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
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

/** How a process is talked to. */
interface Channel {
  isOpen(): boolean;
  send(message: object): void;
  close(): void;
}

interface Listener {
  answer(answer: Answer): void;
  ended(reason: string): void;
}

/**
 * Another library, in a process of its own: it needs globals that Graft must not see. It does one thing at a time,
 * when asked, so that measurements of several libraries can be interleaved.
 */
export class Peer {
  readonly name: string;
  readonly version: string;
  readonly #channel: Channel;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #calls = 0;

  private constructor(name: string, version: string, open: (listener: Listener) => Channel) {
    this.name = name;
    this.version = version;
    this.#channel = open({
      answer: (answer) => {
        this.#waiting.get(answer.id!)?.(answer);
        this.#waiting.delete(answer.id!);
      },
      ended: (reason) => {
        for (const tell of this.#waiting.values()) tell({ error: reason });
      },
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
    return new Peer(name, version, (listener) => {
      child.on('message', (answer: Answer) => listener.answer(answer));
      child.on('exit', (code) => listener.ended(`its process ended with code ${code}`));
      return {
        isOpen: () => child.connected,
        send: (message) => child.send(message),
        close: () => child.disconnect(),
      };
    });
  }

  /**
   * A program that answers on stdout, one JSON object a line; the first has its `version`.
   * @throws Error where it does not start, with the last line of its stderr
   */
  static async spawn(name: string, command: string, args: readonly string[]): Promise<Peer> {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const lines = createInterface({ input: child.stdout });
    const version = await firstVersion(name, child, lines);
    return new Peer(name, version, (listener) => {
      lines.on('line', (line) => listener.answer(JSON.parse(line) as Answer));
      child.on('exit', (code) => listener.ended(`its process ended with code ${code}`));
      return {
        isOpen: () => child.exitCode === null,
        send: (message) => child.stdin.write(`${JSON.stringify(message)}\n`),
        close: () => child.stdin.end(),
      };
    });
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

  /** The largest part of memory that its process had at once, in bytes. */
  async peakBytes(): Promise<number> {
    return (await this.#call('peakBytes', {})) as number;
  }

  close(): void {
    if (this.#channel.isOpen()) this.#channel.close();
  }

  async #call(method: string, args: object): Promise<unknown> {
    if (!this.#channel.isOpen()) throw new Error('its process has ended');
    const id = this.#calls++;
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#channel.send({ ...args, id, method });
    const { result, error } = await answered;
    if (error !== undefined) throw new Error(error);
    return result;
  }
}

/** The version that a program says first. */
function firstVersion(
  name: string,
  child: ChildProcess,
  lines: ReturnType<typeof createInterface>,
): Promise<string> {
  let told = '';
  child.stderr!.on('data', (text: Buffer) => {
    told = `${told}${text}`.slice(-2000);
  });
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => reject(new Error(`${name} does not start: ${reason}`));
    child.once('error', ({ message }) => fail(message));
    child.once('exit', (code) => fail(told.trim().split('\n').at(-1) || `code ${code}`));
    lines.once('line', (line) => resolve((JSON.parse(line) as { version: string }).version));
  });
}
