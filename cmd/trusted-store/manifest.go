package main

import "strconv"

// fields are the members of an object in a manifest. The tests hold them against
// the types of Kubernetes, which are too large for this program.
type fields = map[string]any

// trustedDevice is the path by which Kata's agent knows the device that images go to.
const trustedDevice = "/dev/trusted_store"

// runtimeHandler is the annotation by which containerd knows at the time of a pull
// which runtime, and so which snapshotter, the image is for.
const runtimeHandler = "io.containerd.cri.runtime-handler"

// manifest is what the manifests say.
type manifest struct {
	name, namespace string
	node, device    string // device "": the storage class makes the volume
	storageClass    string
	runtimeClass    string
	image           string
	bytes           int64
}

func (m *manifest) objects() []fields {
	if m.device == "" {
		return []fields{m.claim(), m.pod()}
	}
	return []fields{m.class(), m.volume(), m.claim(), m.pod()}
}

// class binds when the pod is scheduled, since the device is on one node only.
func (m *manifest) class() fields {
	return fields{
		"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
		"metadata":          fields{"name": m.storageClass},
		"provisioner":       "kubernetes.io/no-provisioner",
		"volumeBindingMode": "WaitForFirstConsumer",
		"reclaimPolicy":     "Retain",
	}
}

// volume is for this claim alone, which claimRef and the claim's volumeName say: two
// pods on one device would destroy each other's contents.
func (m *manifest) volume() fields {
	return fields{
		"apiVersion": "v1", "kind": "PersistentVolume",
		"metadata": fields{"name": m.name},
		"spec": fields{
			"capacity":                      fields{"storage": quantity(m.bytes)},
			"volumeMode":                    "Block",
			"accessModes":                   accessModes,
			"persistentVolumeReclaimPolicy": "Retain",
			"storageClassName":              m.storageClass,
			"claimRef":                      fields{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": m.namespace, "name": m.name},
			"local":                         fields{"path": m.device},
			"nodeAffinity":                  fields{"required": fields{"nodeSelectorTerms": []fields{{"matchExpressions": []fields{m.onNode()}}}}},
		},
	}
}

var accessModes = []string{"ReadWriteOnce"}

func (m *manifest) onNode() fields {
	return fields{"key": "kubernetes.io/hostname", "operator": "In", "values": []string{m.node}}
}

func (m *manifest) claim() fields {
	spec := fields{
		"accessModes":      accessModes,
		"volumeMode":       "Block",
		"storageClassName": m.storageClass,
		"resources":        fields{"requests": fields{"storage": quantity(m.bytes)}},
	}
	if m.device != "" {
		spec["volumeName"] = m.name
	}
	return fields{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": m.named(), "spec": spec}
}

func (m *manifest) pod() fields {
	metadata := m.named()
	metadata["annotations"] = fields{runtimeHandler: m.runtimeClass}
	return fields{
		"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
		"spec": fields{
			"runtimeClassName": m.runtimeClass,
			"containers": []fields{{
				"name":          "app",
				"image":         m.image,
				"command":       []string{"sleep", "infinity"},
				"volumeDevices": []fields{{"name": m.name, "devicePath": trustedDevice}},
			}},
			"volumes": []fields{{"name": m.name, "persistentVolumeClaim": fields{"claimName": m.name}}},
		},
	}
}

func (m *manifest) named() fields { return fields{"name": m.name, "namespace": m.namespace} }

// quantity is exact, and canonical in Kubernetes.
func quantity(bytes int64) string {
	unit := 0
	for ; bytes > 0 && bytes%1024 == 0 && unit < len(quantityUnits)-1; unit++ {
		bytes /= 1024
	}
	return strconv.FormatInt(bytes, 10) + quantityUnits[unit]
}

var quantityUnits = []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
