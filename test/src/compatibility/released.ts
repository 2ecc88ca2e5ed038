/** What the last release of the contracts left for tests: its contracts, the bytes its client sends, the answers its driver gives. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout } from '@virtbus/testkit';
import type { ContractRecord } from './contract-record';
import type { Sent } from './frozen-client';
import type { DriverTape } from './frozen-driver';

const folder = join(checkout, 'test', 'src', 'compatibility', 'released');
export const contractsPath = join(folder, 'contracts.json');
export const clientPath = join(folder, 'client.json');
export const driverPath = join(folder, 'driver.json');

export interface Released {
  contracts: ContractRecord;
  /** What its client sends, by the step of the scenario. */
  client: Record<string, Sent>;
  driver: DriverTape;
}

export function readReleased(): Released {
  const read = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T;
  return { contracts: read(contractsPath), client: read(clientPath), driver: read(driverPath) };
}
