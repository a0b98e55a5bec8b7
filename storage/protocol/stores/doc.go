// Package stores is the protocol of the service that looks after live stores,
// generated from stores.proto: status, list, grow, unmount and health.
package stores
