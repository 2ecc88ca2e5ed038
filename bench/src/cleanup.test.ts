import { CleanUp } from './cleanup';

test('steps are undone in reverse order, also after one that fails, and once', async () => {
  const done: string[] = [];
  const cleanUp = new CleanUp();
  const told = jest.spyOn(console, 'error').mockImplementation(() => undefined);
  cleanUp.add('folder', () => done.push('folder'));
  cleanUp.add('daemon', async () => {
    throw new Error('it is gone');
  });
  cleanUp.add('guest', async () => done.push('guest'));
  await Promise.all([cleanUp.run(), cleanUp.run()]);
  expect(done).toEqual(['guest', 'folder']);
  expect(told).toHaveBeenCalledWith('cannot clean up daemon: it is gone');
  told.mockRestore();
});
