import type { TrainEvent } from '@graftjs/trainer';

/** What is being done, as it begins. */
export interface PhaseEvent {
  readonly event: 'phase';
  readonly phase: 'load' | 'sample-before' | 'evaluate' | 'train' | 'sample-after';
}

/** Before anything is computed. */
export interface StartEvent {
  readonly event: 'start';
  /** The adapter of the device. */
  readonly device: string;
  readonly totalSteps: number;
  readonly trainableParameters: number;
  /** Of the base. */
  readonly parameters: number;
  readonly examples: number;
  readonly heldOutExamples: number;
}

/** What the model makes of a prompt. */
export interface SampleEvent {
  readonly event: 'sample';
  readonly when: 'before' | 'after';
  readonly prompt: string;
  /** Without the prompt. */
  readonly text: string;
}

export type QuickstartEvent = PhaseEvent | StartEvent | SampleEvent | TrainEvent;
