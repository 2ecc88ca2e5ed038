/** What an upload says of a file that is none. */
import { temporaryFolder } from '@virtbus/testkit';
import type { Output } from './output';
import type { Session } from './session';
import { sendContent } from './volume-stream';

test('a folder is not uploaded, and nobody is asked', async () => {
  using folder = temporaryFolder();
  const transfer = { file: folder.path, volume: 'v', host: 'h1', offset: 0, sparse: false };
  const sending = sendContent({} as Session, {} as Output, transfer);
  await expect(sending).rejects.toMatchObject({
    name: 'UsageError',
    message: expect.stringContaining('it is a folder'),
  });
});
