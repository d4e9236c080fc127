import { expect, test, vi } from 'vitest';
import { openGpu } from './node.ts';
import { NoAdapterError } from './public.ts';

vi.mock('webgpu', () => {
  throw new Error("Cannot find package 'webgpu'");
});

test('without the package webgpu, openGpu says how to get it, each time', async () => {
  for (let i = 0; i < 2; i++) {
    const error = await openGpu().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NoAdapterError);
    expect((error as Error).message).toContain('npm install webgpu');
  }
});
