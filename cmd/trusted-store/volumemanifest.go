package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

const manifestLong = `Write Kubernetes manifests for a pod that gets DEVICE, or the loop device that FILE is
attached to, as /dev/trusted_store: StorageClass, PersistentVolume,
PersistentVolumeClaim and Pod. Names refer to each other, and the capacity is what
the device has. Nothing is changed; the cluster is not asked.

Without DEVICE and FILE it is for a storage class whose driver makes block volumes by
itself, as those of clouds do: PersistentVolumeClaim and Pod, of --size.

The pod sleeps: put its volume, runtime class and volumeDevices into your own.`

func (a *app) volumeManifest() *cobra.Command {
	m := manifest{}
	var size sizeFlag
	c := &cobra.Command{
		Use:   "manifest [DEVICE|FILE]",
		Short: "Write Kubernetes manifests for a pod with the device",
		Long:  manifestLong,
		Example: `  trusted-store volume manifest /var/lib/trusted.img | kubectl apply -f -
  trusted-store volume manifest /dev/nvme1n1 --node worker-1 --name trusted-1
  trusted-store volume manifest --storage-class fast-block --size 20GiB`,
		Args: cli.AtMostOne("DEVICE or FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			m.bytes = int64(size)
			if err := m.fill(c, args); err != nil {
				return err
			}
			if err := m.check(); err != nil {
				return cli.UsageError(err, c)
			}
			return a.printManifest(m.objects())
		},
	}
	flags := c.Flags()
	flags.StringVar(&m.name, "name", "trusted-image-storage", "`NAME` of volume, claim and pod")
	flags.StringVar(&m.namespace, "namespace", "default", "`NAMESPACE` of claim and pod")
	flags.StringVar(&m.node, "node", "", "`NODE` that has the device: its label kubernetes.io/hostname (default this machine's name)")
	flags.StringVar(&m.device, "device", "", "`PATH` of the device on the node, if it is not the one found here")
	flags.StringVar(&m.storageClass, "storage-class", "trusted-local", "`NAME` of the storage class")
	flags.StringVar(&m.runtimeClass, "runtime-class", "kata-qemu", "`NAME` of the runtime class, and of its handler in containerd")
	flags.StringVar(&m.image, "image", "busybox", "`IMAGE` of the pod")
	flags.Var(&size, "size", "size of the claim, without DEVICE and FILE")
	flags.Lookup("size").DefValue = ""
	complete(c, "runtime-class", "kata-qemu", "kata-qemu-coco-dev", "kata-qemu-snp", "kata-qemu-tdx")
	return c
}

// fill finds out what the command line leaves open.
func (m *manifest) fill(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return m.fillDynamic(c)
	}
	if c.Flags().Changed("size") {
		return cli.UsageErrorf(c, "--size is that of DEVICE or FILE")
	}
	found, err := storage.FindBacking(args[0])
	if err != nil {
		return err
	}
	m.bytes = found.Bytes
	if m.device == "" {
		m.device = found.Device
	}
	if m.device == "" {
		return cli.UsageErrorf(c, "%s: attached to no loop device; attach it first, or name the node's device with --device", args[0])
	}
	if m.node == "" {
		m.node, err = os.Hostname()
		m.node = strings.ToLower(m.node) // as the kubelet has it
	}
	return err
}

func (m *manifest) fillDynamic(c *cobra.Command) error {
	for _, local := range []string{"node", "device"} {
		if c.Flags().Changed(local) {
			return cli.UsageErrorf(c, "--%s needs DEVICE or FILE", local)
		}
	}
	for _, needed := range []string{"storage-class", "size"} {
		if !c.Flags().Changed(needed) {
			return cli.UsageErrorf(c, "without DEVICE and FILE, --%s is needed", needed)
		}
	}
	return nil
}

// printManifest writes YAML documents, or as JSON one list, both of which kubectl
// takes.
func (a *app) printManifest(objects []fields) error {
	if a.json {
		return a.printJSON(fields{"apiVersion": "v1", "kind": "List", "items": objects})
	}
	e := yaml.NewEncoder(a.out)
	e.SetIndent(2)
	for _, o := range objects {
		if err := e.Encode(o); err != nil {
			return err
		}
	}
	return e.Close()
}
