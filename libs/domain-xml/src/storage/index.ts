/** Storage pools and volumes: libvirt's documents as typed models. */
export {};
