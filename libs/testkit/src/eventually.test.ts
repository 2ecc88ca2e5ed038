import { eventually } from './eventually';

describe('eventually', () => {
  test('answers with the value as soon as it is the expected one', async () => {
    let n = 0;
    expect(await eventually(() => ++n, 3)).toBe(3);
  });

  test('compares deeply, or by a predicate', async () => {
    await eventually(() => ({ state: 'running' }), { state: 'running' });
    await eventually(
      () => 7,
      (n) => n > 5,
    );
  });

  test('takes an error for "not yet"', async () => {
    let n = 0;
    const look = async (): Promise<string> => {
      if (++n < 3) throw new Error('connection refused');
      return 'up';
    };
    expect(await eventually(look, 'up')).toBe('up');
  });

  test('tells the last answer when the time is over', async () => {
    await expect(eventually(() => 'paused', 'running', { timeoutMs: 50 })).rejects.toThrow(
      "after 50 ms still 'paused', expected to be 'running'",
    );
  });

  test('keeps the last error as the cause when the time is over', async () => {
    const refuse = (): never => {
      throw new Error('connection refused');
    };
    const failed = await eventually(refuse, 'up' as never, { timeoutMs: 50 }).catch((error: unknown) => error);
    expect(failed).toMatchObject({ cause: new Error('connection refused') });
  });
});
