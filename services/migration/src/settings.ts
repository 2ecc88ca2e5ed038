/** The settings of this service, beside those that every service has. */
import { serviceSettings, setting } from '@virtbus/shared/config';
import { z } from 'zod';

export const migrationSettings = {
  ...serviceSettings,
  jetstreamReplicas: setting(
    'VIRTBUS_JETSTREAM_REPLICAS',
    z.coerce.number().int().positive().max(5).default(1),
    'copies of each stream in a cluster; used when a stream is made',
  ),
  patienceMs: setting(
    'VIRTBUS_MIGRATION_PATIENCE_MS',
    z.coerce.number().int().positive().default(60_000),
    'how long a host may be away before a migration that has not handed the guest over is given up, milliseconds',
  ),
};
