import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockFolder } from '@graftjs/checkpoint/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testHost } from '../test/host.ts';
import { texts, writeTinyModel } from '../test/tiny-model.ts';
import { runCli } from './cli.ts';

let root: string;
const at = (name: string): string => join(root, name);
const put = (name: string, content: string | Uint8Array): string => {
  mkdirSync(join(at(name), '..'), { recursive: true });
  writeFileSync(at(name), content);
  return at(name);
};

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-bad-'));
  writeTinyModel(at('model'));
  put('good.jsonl', texts(12));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs a command line that must fail: one line on stderr, nothing on stdout. */
async function fail(...argv: string[]): Promise<{ code: number; line: string }> {
  const host = testHost();
  const code = await runCli(argv, host);
  const [line, ...more] = host.stderr().split('\n');
  expect(more, host.stderr()).toEqual(['']);
  expect(line).toMatch(/^graft: \S/);
  return { code, line: line!.slice('graft: '.length) };
}

/** `graft train` with a good model and good data, but for what is given. */
const train = (...more: string[]): Promise<{ code: number; line: string }> => {
  const given = new Set(more.filter((word) => word.startsWith('--')));
  const rest = Object.entries({ '--model': at('model'), '--data': at('good.jsonl'), '--output': at('run') })
    .filter(([flag]) => !given.has(flag))
    .flat();
  return fail('train', ...rest, '--quiet', ...more);
};

describe('2: the command line', () => {
  test.each([
    [['trian'], 'there is no verb "trian"; did you mean train?'],
    [['frobnicate'], 'there is no verb "frobnicate"; see graft --help'],
    [['constructor'], 'there is no verb "constructor"; see graft --help'],
    [['train', '--lerning-rate', '1'], 'train has no flag --lerning-rate; did you mean --learning-rate?'],
    [['train', '--wat'], 'train has no flag --wat; see graft train --help'],
    [['train', 'a.yaml', 'b.yaml'], 'train does not take "b.yaml"; see graft train --help'],
    [['train', '--seed'], '--seed needs a value, as in --seed=training.seed'],
    [['train', '--seed', '--quiet'], '--seed needs a value, as in --seed=training.seed'],
    [['train', '--overwrite=yes'], '--overwrite takes no value'],
    [['train', 'none.yaml'], 'none.yaml: there is no such file: give the path of a configuration'],
    [['train'], 'model is missing: give a path, in the file or as --model'],
    [['resume'], 'resume needs the run folder; see graft resume --help'],
    [['generate', '--prompt', 'a'], 'generate needs --model; see graft generate --help'],
    [['generate', '--model', 'm'], 'generate needs --prompt; see graft generate --help'],
    [
      ['generate', '--model', 'm', '--prompt', 'a', '--temperature', 'hot'],
      '--temperature is "hot": it must be a number of at least 0',
    ],
    [
      ['generate', '--model', 'm', '--prompt', 'a', '--top-p', '1.5'],
      '--top-p is "1.5": it must be a number from',
    ],
    [
      ['generate', '--model', 'm', '--prompt', 'a', '--max-new-tokens', '1.5'],
      '--max-new-tokens is "1.5": it must be a whole number of at least 1',
    ],
    [['merge', '--model', 'm', '--adapter', 'a'], 'merge needs --output; see graft merge --help'],
    [['merge', '--model', 'm', '--adapter', 'a', '--output', 'm'], 'is the base model itself'],
    [
      ['merge', '--model', 'm', '--adapter', 'a', '--output', 'o', '--dtype', 'int4'],
      '--dtype is "int4": it must be float32, float16 or bfloat16',
    ],
  ])('%j', async (argv, message) => {
    const { code, line } = await fail(...argv);
    expect(line).toContain(message);
    expect(code).toBe(2);
  });
});

describe('2: the configuration', () => {
  test('a fault in the file has its line and column', async () => {
    const file = put('c.yaml', 'model: m\noutput: o\ndata: d\ntraining:\n  learnin_rate: 1e-4\n');
    expect(await fail('train', file)).toEqual({
      code: 2,
      line: `${file}:5:3: unknown key training.learnin_rate; did you mean learningRate?`,
    });
  });

  test.each([
    [
      ['--learning-rate', 'fast'],
      '--learning-rate: training.learningRate is "fast": it must be a number above 0',
    ],
    [['--method', 'doraa'], '--method: method.type: there is no method "doraa"; did you mean dora?'],
    [
      ['--target-modules', 'q_porj'],
      'method: target_modules ["q_porj"] matches no module. Did you mean "q_proj"?',
    ],
    [['--target-modules', '(q_proj'], 'method: regular expression "(q_proj"'],
    [['--target-modules', 'norm'], 'LoRA changes linear layers'],
    [
      ['--chat-template', '/none.jinja'],
      'data.chatTemplate is "/none.jinja": it must be chatml or a file that exists',
    ],
  ])('%j', async (flags, message) => {
    const { code, line } = await train(...flags);
    expect(line).toContain(message);
    expect(code).toBe(2);
  });
});

describe('2: the run folder', () => {
  test('is not empty', async () => {
    put('taken/notes.txt', 'precious');
    const { code, line } = await train('--output', at('taken'));
    expect(line).toBe(`${at('taken')}: it is not empty: choose another output, or give --overwrite`);
    expect(code).toBe(2);
    expect(readFileSync(at('taken/notes.txt'), 'utf8')).toBe('precious');
  });

  test('holds a run', async () => {
    put('done/config.yaml', '');
    const { code, line } = await train('--output', at('done'));
    expect(line).toContain(`continue it with \`graft resume ${at('done')}\``);
    expect(code).toBe(2);
  });

  test('is a file', async () => {
    put('file', '');
    const { code, line } = await train('--output', at('file'));
    expect(line).toContain('choose another output');
    expect(code).toBe(2);
  });

  test('is used by another run', async () => {
    const lock = await lockFolder(at('busy'));
    const { code, line } = await train('--output', at('busy'));
    expect(line).toContain(String(process.pid));
    expect(code).toBe(2);
    await lock.release();
  });

  test('to resume is no run', async () => {
    const { code, line } = await fail('resume', at('none'));
    expect(line).toContain('there is no config.yaml: give the folder that `graft train` wrote');
    expect(code).toBe(2);
    expect(readdirSync(root)).not.toContain('none');
  });
});

describe('3: the data', () => {
  const utf16 = Uint8Array.from([0xff, 0xfe, ...Buffer.from('{"text":"a"}', 'utf16le')]);
  test.each<[string, string | Uint8Array, string]>([
    ['bad JSON', `${texts(2)}\n{"text": "a",}\n`, 'line 3, column 14'],
    ['nothing', '', 'no rows: the data set is empty'],
    ['no known keys', '{"instruction":"a","output":"b"}', 'rename Alpaca'],
    ['rows of another form', '{"text":"a b"}\n{"prompt":"a"}\n', 'row 2: has no "text"'],
    ['a number for a text', '{"text":5}\n', 'row 1: "text" is a number'],
    ['empty texts', '{"text":""}\n', 'nothing to learn in any of the 1 records'],
    ['UTF-16', utf16, 'UTF-16'],
    [
      'conversations without a template',
      '{"messages":[{"role":"user","content":"a"}]}',
      'the tokenizer has no chat template',
    ],
  ])('%s', async (_, content, message) => {
    const file = put('bad.jsonl', content);
    const { code, line } = await train('--data', file);
    expect(line).toContain(message);
    expect(line).toContain(file);
    expect(code).toBe(3);
  });

  test('a file that is not there, and a folder', async () => {
    expect(await train('--data', at('none.jsonl'))).toEqual({
      code: 3,
      line: `${at('none.jsonl')}: there is no such file: check data.train`,
    });
    expect((await train('--data', root)).line).toContain('it is not a file');
    expect((await train('--held-out', at('none.jsonl'))).line).toContain('check data.heldOut');
  });

  test('a template that refuses a row', async () => {
    const template = put('strict.jinja', "{{ raise_exception('roles must alternate') }}");
    const file = put(
      'chat.jsonl',
      '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}',
    );
    const { code, line } = await train('--data', file, '--chat-template', template);
    expect(line).toContain('row 1');
    expect(line).toContain('roles must alternate');
    expect(code).toBe(3);
  });
});

describe('4: files of the model', () => {
  const broken = (
    name: string,
    change: (folder: string) => void,
    config: Record<string, unknown> = {},
  ): string => {
    const folder = writeTinyModel(at(name), config);
    change(folder);
    return folder;
  };
  test.each<[string, (folder: string) => void, Record<string, unknown>, string]>([
    ['no config', (f) => rmSync(join(f, 'config.json')), {}, 'config.json: the file does not exist'],
    ['no weights', (f) => rmSync(join(f, 'model.safetensors')), {}, 'there is neither model.safetensors nor'],
    ['no tokenizer', (f) => rmSync(join(f, 'tokenizer.json')), {}, 'there is no tokenizer.json'],
    [
      'a pickle only',
      (f) => {
        rmSync(join(f, 'model.safetensors'));
        writeFileSync(join(f, 'pytorch_model.bin'), 'x');
      },
      {},
      'this is a PyTorch pickle',
    ],
    [
      'a Git LFS pointer',
      (f) =>
        writeFileSync(
          join(f, 'model.safetensors'),
          'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
        ),
      {},
      'Git LFS pointer',
    ],
    [
      'weights cut short',
      (f) =>
        writeFileSync(
          join(f, 'model.safetensors'),
          readFileSync(join(f, 'model.safetensors')).subarray(0, 5000),
        ),
      {},
      'model.safetensors',
    ],
    [
      'weights of another shape',
      (f) =>
        writeFileSync(
          join(f, 'config.json'),
          readFileSync(join(f, 'config.json'), 'utf8').replace(
            '"intermediate_size": 64',
            '"intermediate_size": 80',
          ),
        ),
      {},
      'another shape',
    ],
    [
      'an unknown architecture',
      (f) => writeFileSync(join(f, 'config.json'), '{"model_type":"mamba"}'),
      {},
      '"mamba" is not among the architectures given; they read llama',
    ],
    ['a config that is not JSON', (f) => writeFileSync(join(f, 'config.json'), '{'), {}, 'config.json'],
    ['a vocabulary larger than the embeddings', () => {}, { vocab_size: 2000 }, 'embeds only 2000 tokens'],
    [
      'a tokenizer that is none',
      (f) => writeFileSync(join(f, 'tokenizer.json'), '{}'),
      {},
      'tokenizer.json cannot be loaded',
    ],
  ])('%s', async (name, change, config, message) => {
    const folder = broken(`broken ${name}`, change, config);
    const { code, line } = await train('--model', folder);
    expect(line).toContain(message);
    expect(code).toBe(4);
  });

  test('a model that is not there', async () => {
    const { code, line } = await fail('generate', '--model', at('none'), '--prompt', 'a');
    expect(line).toContain(at('none'));
    expect(code).toBe(4);
  });

  test('an adapter for another base, and one that is not there', async () => {
    put('wide/adapter_config.json', JSON.stringify({ peft_type: 'LORA', target_modules: ['up_proj'], r: 2 }));
    const generate = (adapter: string) =>
      fail('generate', '--model', at('model'), '--prompt', 'a', '--adapter', adapter);
    expect(await generate(at('none'))).toMatchObject({
      code: 4,
      line: expect.stringContaining('adapter_config.json'),
    });
    expect(await generate(at('wide'))).toMatchObject({
      code: 4,
      line: expect.stringContaining('adapter_model.safetensors'),
    });
    put('strange/adapter_config.json', JSON.stringify({ peft_type: 'STRANGE' }));
    put('strange/adapter_model.safetensors', Uint8Array.from([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d]));
    expect(await generate(at('strange'))).toMatchObject({
      code: 4,
      line: expect.stringContaining('peft_type = "STRANGE" is not supported: methods here are of'),
    });
  });
});

test("a prompt that does not fit is the command line's fault", async () => {
  const { code, line } = await fail(
    'generate',
    '--model',
    at('model'),
    '--prompt',
    'a',
    '--max-new-tokens',
    '300',
  );
  expect(line).toContain("exceed the model's 256 positions");
  expect(code).toBe(2);
});

test('6: a run that diverges', async () => {
  const { code, line } = await train(
    '--learning-rate',
    '1e30',
    '--schedule',
    'constant',
    '--warmup',
    '0',
    '--clip-norm',
    '0',
    '--output',
    at('diverged'),
    '--held-out',
    '0',
  );
  expect(line).toMatch(/^step \d: loss .*Lower the learning rate/);
  expect(code).toBe(6);
});

test('whatever fails before training leaves no run folder behind', () => {
  expect(readdirSync(root)).not.toContain('run');
});

test('with --json the fault is also the only line on stdout', async () => {
  const host = testHost();
  const code = await runCli(['train', '--json', '--wat'], host);
  expect(code).toBe(2);
  expect(host.events()).toEqual([
    {
      event: 'error',
      code: 2,
      name: 'UsageError',
      message: 'train has no flag --wat; see graft train --help',
    },
  ]);
  expect(host.stderr()).toBe('graft: train has no flag --wat; see graft train --help\n');
});

test('the stack comes with --debug only', async () => {
  const host = testHost();
  await runCli(['resume', at('none'), '--debug'], host);
  expect(host.stderr()).toContain('run-folder.ts');
});
