/** `node services/driver-lxc`: the LXC driver of one host. */
export {};
