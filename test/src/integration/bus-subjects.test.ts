/** Every role tries every subject on the real server: exactly what is meant for it works. */
import { connectBus, type Bus } from '@virtbus/shared/bus';
import { BusUsers, startNatsServer, temporaryFolder, type NatsServer, type TemporaryFolder } from '@virtbus/testkit';
import { hearing, publishing, users, type Intent, type User } from './bus-subjects';

jest.setTimeout(120_000);

let folder: TemporaryFolder;
let server: NatsServer;
beforeAll(async () => {
  folder = temporaryFolder();
  const made = await BusUsers.create(folder, ['h1', 'h2']);
  server = await startNatsServer({ authorization: await made.serverTrust() });
  made.write(server.url);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const connected = (user: User): Promise<Bus> => connectBus({ name: user, context: folder.file(`${user}.json`) });

/** The subjects that the server refuses, when all are tried one after the other: its answer to a ping comes last. */
async function refused(user: User, intents: readonly Intent[], how: 'publish' | 'subscription'): Promise<Set<string>> {
  const bus = await connected(user);
  const found = new Set<string>();
  void (async () => {
    for await (const { permissionContext } of bus.nc.status()) {
      if (permissionContext?.operation === how) found.add(permissionContext.subject);
    }
  })();
  for (const subject of intents.flatMap(({ subjects }) => subjects)) {
    if (how === 'publish') bus.nc.publish(subject);
    else bus.nc.subscribe(subject, { callback: () => undefined });
  }
  await bus.nc.flush();
  await bus.close();
  return found;
}

/** `+ subject` works and is meant not to, `- subject` does not and is. */
function differences(user: User, intents: readonly Intent[], found: Set<string>): string[] {
  return intents.flatMap(({ subjects, by }) =>
    subjects.flatMap((subject) => {
      const [meant, works] = [by.includes(user), !found.has(subject)];
      return meant === works ? [] : [`${works ? '+' : '-'} ${subject}`];
    }),
  );
}

test.each(users)('%s publishes what is meant for it, and nothing else', async (user) => {
  expect(differences(user, publishing, await refused(user, publishing, 'publish'))).toEqual([]);
});

test.each(users)('%s hears what is meant for it, and nothing else', async (user) => {
  expect(differences(user, hearing, await refused(user, hearing, 'subscription'))).toEqual([]);
});
