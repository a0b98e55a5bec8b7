// Package cdh is the protocol between a confidential guest's agent and the
// services beside it, generated from cdh.proto: secure mount, image pull,
// resources and sealed secrets, as Kata's agent speaks them.
//
// Messages may hold keys. Their String method prints them: never log a
// GetResourceResponse or an UnsealSecretOutput.
package cdh
