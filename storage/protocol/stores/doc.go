// Package stores is the protocol of the service that makes stores and looks after
// live ones, generated from stores.proto: open, close, watch, status, list, grow,
// unmount and health, and pulls that tell how far they are. [Dial] connects to it.
package stores
