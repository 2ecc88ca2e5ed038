/** Names of the secrets that open an image: who we are to its server, its passphrase, its HTTP cookies. */
import type { Image } from './block-chain';
import type { Layers } from './block-layers';

export const authSecret = ({ name }: Image): string => `${name}-storage-auth-secret0`;
export const cookieSecret = ({ name }: Image): string => `${name}-storage-httpcookie-secret0`;
export const tlsObject = ({ name }: Image): string => `obj${name}-storage_tls0`;
export const encryptionSecret = ({ top }: Layers, number = 0): string => `${top}-encryption-secret${number}`;
