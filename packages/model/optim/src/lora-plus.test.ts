import { readFileSync } from 'node:fs';
import { Parameter } from '@graftjs/nn';
import { expect, test } from 'vitest';
import { loraPlus } from './lora-plus.ts';

interface Facts {
  readonly options: {
    readonly lr: number;
    readonly loraplus_lr_ratio: number;
    readonly loraplus_weight_decay: number;
  };
  readonly groups: Readonly<
    Record<string, { readonly lr: number; readonly weight_decay: number; readonly rank: number }>
  >;
}
const fixture = new URL('../../../../tools/oracle/fixtures/optimizers.json', import.meta.url);
const { options, groups }: Facts = JSON.parse(readFileSync(fixture, 'utf8')).loraplus;

const parameter = (rank: number): Parameter => new Parameter(Array<number>(rank).fill(2));

test('every parameter is in the group of peft', () => {
  const settingsOf = loraPlus({
    ratio: options.loraplus_lr_ratio,
    weightDecay: options.loraplus_weight_decay,
  });
  const found = Object.entries(groups).map(([name, { rank }]) => {
    const { rateFactor, weightDecay } = settingsOf(name, parameter(rank));
    return [name, { lr: options.lr * rateFactor!, weight_decay: weightDecay, rank }];
  });
  expect(Object.fromEntries(found)).toEqual(groups);
  expect(new Set(found.map(([, group]) => JSON.stringify(group))).size).toBe(4);
});

test('embeddings learn at a rate of their own', () => {
  const names = ['A', 'B'].map((m) => `base_model.model.embed.lora_embedding_${m}.default`);
  const settingsOf = loraPlus({ ratio: 4, learningRate: 1e-3, embeddingLearningRate: 2e-5 });
  for (const name of names) expect(settingsOf(name, parameter(2)).rateFactor! / 0.02).toBeCloseTo(1, 12);
  expect(loraPlus({ ratio: 4, learningRate: 1e-3 })(names[0]!, parameter(2)).rateFactor! / 1e-3).toBeCloseTo(
    1,
    12,
  );
  expect(() => loraPlus({ ratio: 4 })(names[0]!, parameter(2))).toThrow('give learningRate');
});

test('a ratio below 1 is refused', () => {
  for (const ratio of [0.5, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => loraPlus({ ratio })).toThrow('ratio must be a finite number from 1 on');
});
