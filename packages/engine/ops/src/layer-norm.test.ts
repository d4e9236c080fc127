import { gradients, type Node, ShapeError, sum, Variable } from '@graftjs/tensor';
import { expect, test } from 'vitest';
import { layerNorm } from './index.ts';

const [x, weight, bias] = [new Variable([3, 4]), new Variable([4]), new Variable([4])];

test('a frozen weight and bias cost no gradient', () => {
  const loss = sum(layerNorm(x, { weight, bias, eps: 1e-5 }));
  const seen = new Set<Node>();
  const visit = (node: Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    for (const { node: input } of node.inputs) visit(input);
  };
  const [dx] = gradients(loss, [x]);
  visit(dx!.node);
  const applied = [...seen].filter(({ op }) => op.name === 'layerNormGradient');
  expect(applied.map(({ attrs }) => attrs.wrt)).toEqual([[0]]);
});

test('a weight or bias of another length is refused by name', () => {
  expect(() => layerNorm(x, { weight: new Variable([3]), eps: 1e-5 })).toThrow(ShapeError);
  expect(() => layerNorm(x, { weight, bias: new Variable([4, 1]), eps: 1e-5 })).toThrow('the bias must be');
});
