/**
 * A long short-term memory over both directions of a sequence, as PyTorch's `LSTM` (bidirectional). With gates
 *
 *     [i f g o] = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
 *     c_t = σ(f) c_{t-1} + σ(i) tanh(g),   h_t = σ(o) tanh(c_t)
 *
 * a layer gives `[h forward, h backward]` of each place to the next one.
 */
import { type Context, type HostRandom, Module, Parameter, trainingDropout, uniformArray } from '@graftjs/nn';
import { add, concat, linear, type Tensor, transpose } from '@graftjs/tensor';
import { lstm } from './lstm-op.ts';

export interface LstmOptions {
  readonly inSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  /** Chance that an element between two layers becomes zero in training. */
  readonly dropout: number;
}

/** One direction of one layer. */
interface Direction {
  /** `[4 hidden, in]` */
  readonly inputWeight: Parameter;
  /** `[4 hidden, hidden]` */
  readonly hiddenWeight: Parameter;
  readonly inputBias: Parameter;
  readonly hiddenBias: Parameter;
}

/** x `[n, in]` -> `[n, 2 hidden]`. Its parameters have PyTorch's names, such as `weight_ih_l0_reverse`. */
export class Lstm extends Module {
  readonly #layers: readonly (readonly [forward: Direction, backward: Direction])[];
  readonly #dropout: number;

  constructor({ inSize, hiddenSize, layers, dropout }: LstmOptions, random: HostRandom) {
    super();
    this.#dropout = dropout;
    const bound = 1 / Math.sqrt(hiddenSize);
    const parameter = (name: string, shape: readonly number[]): Parameter => {
      const made = new Parameter(shape, undefined, { name });
      made.set(uniformArray(made.size, bound, random));
      Object.assign(this, { [name]: made });
      return made;
    };
    this.#layers = Array.from({ length: layers }, (_, k) => {
      const direction = (suffix: string): Direction => ({
        inputWeight: parameter(`weight_ih_l${k}${suffix}`, [
          4 * hiddenSize,
          k === 0 ? inSize : 2 * hiddenSize,
        ]),
        hiddenWeight: parameter(`weight_hh_l${k}${suffix}`, [4 * hiddenSize, hiddenSize]),
        inputBias: parameter(`bias_ih_l${k}${suffix}`, [4 * hiddenSize]),
        hiddenBias: parameter(`bias_hh_l${k}${suffix}`, [4 * hiddenSize]),
      });
      return [direction(''), direction('_reverse')] as const;
    });
  }

  forward(x: Tensor, context: Context): Tensor {
    return this.#layers.reduce((input, directions, k) => {
      const kept = k === 0 ? input : trainingDropout(input, this.#dropout, context, 'encoder_dropout');
      const states = directions.map(({ inputWeight, hiddenWeight, inputBias, hiddenBias }, reverse) =>
        lstm(add(linear(kept, inputWeight, inputBias), hiddenBias), transpose(hiddenWeight), reverse === 1),
      );
      return concat(states, 1); // [n, 2 hidden]
    }, x);
  }
}
