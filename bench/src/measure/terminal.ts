/** The first serial port of a guest, as QEMU offers it: a terminal that anybody may open who may open the file. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ReadStream } from 'node:tty';
import { type QmpMonitor } from '../peers/qmp';

/** QEMU looks once a second who has opened it. */
const noticedMs = 2_000;
/** Of the tiny guest's shell. */
const prompt = 'tiny-guest# ';

async function pathOf(qmp: QmpMonitor): Promise<string> {
  const devices = (await qmp.execute('query-chardev')) as { filename: string }[];
  const pty = devices.find(({ filename }) => filename.startsWith('pty:'));
  if (!pty) throw new Error('the guest has no terminal');
  return pty.filename.slice('pty:'.length);
}

/** Resolves when the shell of the guest answers a key: what it printed while nobody looked is lost. Nobody else may read. */
export async function shellAnswers(qmp: QmpMonitor, patienceMs = 300_000): Promise<void> {
  const terminal = new ReadStream(openSync(await pathOf(qmp), 'r+'));
  const knocking = setInterval(() => terminal.write('\n'), noticedMs);
  try {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('the shell of a guest does not answer')), patienceMs);
      let text = '';
      terminal.on('error', reject);
      terminal.setEncoding('utf8').on('data', (more: string) => {
        text += more;
        if (!text.includes(prompt)) return;
        clearTimeout(late);
        resolve();
      });
    });
  } finally {
    clearInterval(knocking);
    terminal.destroy();
  }
}

export async function typeOnTerminal(qmp: QmpMonitor, line: string): Promise<void> {
  const terminal = openSync(await pathOf(qmp), 'r+');
  await sleep(noticedMs);
  writeSync(terminal, `${line}\n`);
  await sleep(500);
  closeSync(terminal);
}
