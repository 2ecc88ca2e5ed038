/** The images of this checkout, built from what is built in it: `virtbus-<service>:<tag>`. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout } from '@virtbus/testkit';
import type { Engine } from './engine';

/** Those that install packages come first: they take the longest. */
const targets = ['driver-qemu', 'driver-lxc', 'nats', 'storage', 'domain', 'migration', 'cli'] as const;
const shared = ['layout', 'base'];
const officialBase = 'node:20-bookworm-slim';
const ownBase = 'virtbus-base';

/** @returns the name of each image with its size */
export async function buildImages(engine: Engine, tag: string, folder: string): Promise<string[]> {
  const context = join(folder, 'context');
  mkdirSync(context);
  const [base] = await Promise.all([
    chooseBase(engine),
    engine.run(join(checkout, 'deploy/install.sh'), ['--destdir', join(context, 'layout')]),
  ]);
  cpSync(join(checkout, 'deploy'), join(context, 'deploy'), { recursive: true });
  const build = async (target: string, ...options: string[]): Promise<void> => {
    const file = join(context, `${target}.Dockerfile`);
    writeFileSync(file, stages([...shared, target]));
    const what = ['--file', file, '--target', target, '--build-arg', `BASE=${base}`, ...options];
    await engine.docker('build', '--quiet', '--network=host', ...what, context);
  };
  await build('base'); // what all build on: made once, then taken from the cache
  await Promise.all(targets.map((target) => build(target, '--tag', `virtbus-${target}:${tag}`)));
  rmSync(context, { recursive: true });
  const sizes = await engine.docker('images', '--format', '{{.Repository}}:{{.Tag}} {{.Size}}');
  return sizes.split('\n').filter((line) => line.includes(`:${tag} `));
}

/** The Dockerfile with these stages alone: the engine's own builder builds every stage above the one that is asked for. */
function stages(names: readonly string[]): string {
  const [head, ...all] = readFileSync(join(checkout, 'deploy/Dockerfile'), 'utf8').split(/^(?=FROM )/m);
  return [head, ...all.filter((stage) => names.includes(/^FROM \S+ AS (\S+)$/m.exec(stage)![1]!))].join('');
}

/** The official image where it is here or can be had; else one from Debian's packages. */
async function chooseBase(engine: Engine): Promise<string> {
  for (const image of [officialBase, ownBase]) if (await engine.docker('images', '--quiet', image)) return image;
  try {
    await engine.docker('pull', '--quiet', officialBase);
    return officialBase;
  } catch {
    await engine.run(join(checkout, 'deploy/base-image.sh'), [ownBase]);
    return ownBase;
  }
}
