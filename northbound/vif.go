package northbound

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// vifService implements poolwire.v1.VifService. What is derived of a VIF is in
// vif_state.go.
type vifService struct {
	v1.UnsafeVifServiceServer
	*Server
}

// vifFields are the fields of a VIF that a client may set.
func vifFields() []fieldRow[*v1.Vif] {
	return []fieldRow[*v1.Vif]{
		{path: "uuid", when: onCreate},
		{path: "name_label", when: always, check: func(vif *v1.Vif, at place) {
			at.optionalName(vif.GetNameLabel())
			_, err := flow.ParseMAC(vif.GetNameLabel())
			if err == nil || strings.Contains(vif.GetNameLabel(), "/") {
				at.refuse(vif.GetNameLabel(), "reads as a MAC address or as HOST/INTERFACE; choose a name that does not")
			}
		}},
		{path: "locking_mode", when: always, check: func(vif *v1.Vif, at place) {
			checkEnum(at, vif.GetLockingMode())
			if vif.LockingMode == v1.LockingMode_LOCKING_MODE_UNSPECIFIED {
				vif.LockingMode = v1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT
			}
		}},
		{path: "ipv4_allowed", when: always, check: func(vif *v1.Vif, at place) {
			vif.Ipv4Allowed = at.allowed(vif.GetIpv4Allowed(), `an IPv4 address or prefix like "192.0.2.7" or "192.0.2.0/28"`, netip.Addr.Is4)
		}},
		{path: "ipv6_allowed", when: always, check: func(vif *v1.Vif, at place) {
			vif.Ipv6Allowed = at.allowed(vif.GetIpv6Allowed(), `an IPv6 address or prefix like "2001:db8::7" or "2001:db8::/64"`, netip.Addr.Is6)
		}},
	}
}

// allowed checks a list of addresses of one family and returns it in canonical
// form, each entry once.
func (p place) allowed(list []string, form string, family func(netip.Addr) bool) []string {
	if len(list) > maxAllowed {
		p.say("has %d entries; at most %d are accepted (a prefix stands for many addresses)", len(list), maxAllowed)
		return list
	}
	var out []string
	for i, s := range list {
		prefix, canonical, ok := parseRange(s)
		switch {
		case !ok || !family(prefix.Addr()):
			p.index(i).refuse(s, "must be %s", form)
		case hostBits(s) != "":
			p.index(i).refuse(s, "has bits set after the prefix length; write %s", hostBits(s))
		case prefix.Addr().IsMulticast():
			p.index(i).refuse(s, "is multicast, which nothing sends from; a unicast address or prefix is accepted")
		case !slices.Contains(out, canonical):
			out = append(out, canonical)
		}
	}
	return out
}

func putVif(vif *v1.Vif, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutVif{PutVif: &storev1.PutVif{Vif: vif, Create: create}}}
}

// CreateVif records intent for a VIF that no host has reported yet.
func (s *vifService) CreateVif(ctx context.Context, req *v1.CreateVifRequest) (*v1.CreateVifResponse, error) {
	vif := inputOnly(vifFields(), req.GetVif())
	var bad violations
	if req.GetVif() == nil {
		bad.at("vif").say("is required")
	}
	bad.at("vif.uuid").requiredUUID(&vif.Uuid)
	validate(vifFields(), vif, bad.at("vif"))
	if err := bad.err(); err != nil {
		return nil, err
	}
	cmd := putVif(vif, true)
	res, err := s.write(ctx, mutation{requestID: req.GetRequestId(), resource: "vif", probe: putVif(nil, true),
		plan: func(*raftstore.View) (*storev1.Command, error) { return cmd, nil }})
	if err != nil {
		return nil, err
	}
	return &v1.CreateVifResponse{Vif: s.stored(first(res), vif), Revision: res.Revision}, nil
}

// stored is the VIF as it is stored now, or as it was asked for when it has been
// forgotten already.
func (s *vifService) stored(uuid string, asked *v1.Vif) *v1.Vif {
	v := s.cfg.Store.View()
	if vif := v.Vif(uuid); vif != nil {
		return vifState(newRealizer(v, s.cfg.Live), vif)
	}
	out := proto.CloneOf(asked)
	out.Uuid = uuid
	return out
}

// GetVif returns one VIF with where it is plugged.
func (s *vifService) GetVif(ctx context.Context, req *v1.GetVifRequest) (*v1.GetVifResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	vif, err := findVif(v, "vif", req.GetVif())
	if err != nil {
		return nil, err
	}
	return &v1.GetVifResponse{Vif: vifState(newRealizer(v, s.cfg.Live), vif)}, nil
}

// ListVifs returns VIFs ordered by UUID.
func (s *vifService) ListVifs(ctx context.Context, req *v1.ListVifsRequest) (*v1.ListVifsResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(),
		query: []string{"vifs", req.GetHost(), req.GetNetwork(), req.GetVmUuid()}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	vifs, err := filterVifs(v, req)
	if err != nil {
		return nil, err
	}
	out := &v1.ListVifsResponse{Revision: v.Revision()}
	page, next := pageOf(at, vifs, (*v1.Vif).GetUuid)
	r := newRealizer(v, s.cfg.Live)
	for _, vif := range page {
		out.Vifs = append(out.Vifs, vifState(r, vif))
	}
	out.NextPageToken = next
	return out, nil
}

// filterVifs lists the VIFs that pass all filters of a request.
func filterVifs(v *raftstore.View, req *v1.ListVifsRequest) ([]*v1.Vif, error) {
	vifs := v.Vifs()
	if vm := req.GetVmUuid(); vm != "" {
		vifs = v.VifsByVM(vm)
		if id, ok := canonicalUUID(vm); ok && len(vifs) == 0 {
			vifs = v.VifsByVM(id)
		}
	}
	if req.GetNetwork() != "" {
		place, err := findPlace(v, networkQuery{field: "network", ref: req.GetNetwork(), anyPool: true})
		if err != nil {
			return nil, err
		}
		vifs = slices.DeleteFunc(slices.Clone(vifs), func(vif *v1.Vif) bool { return !place.has(vif.GetNetworkUuid()) })
	}
	if req.GetHost() != "" {
		h, err := findHost(v, "host", req.GetHost())
		if err != nil {
			return nil, err
		}
		plugged := map[string]bool{}
		for _, p := range v.Ports(h.GetUuid()) {
			plugged[p.GetVifUuid()] = true
		}
		vifs = slices.DeleteFunc(slices.Clone(vifs), func(vif *v1.Vif) bool { return !plugged[vif.GetUuid()] })
	}
	return vifs, nil
}

// UpdateVif changes the fields named by update_mask.
func (s *vifService) UpdateVif(ctx context.Context, req *v1.UpdateVifRequest) (*v1.UpdateVifResponse, error) {
	res, err := s.write(ctx, mutation{
		requestID: req.GetRequestId(), resource: "vif", etag: req.GetVif().GetEtag(), probe: putVif(nil, false),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			now, err := updater[*v1.Vif]{table: vifFields(), name: "vif", get: v.Vif}.apply(req.GetVif(), req.GetUpdateMask())
			return putVif(now, false), err
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.UpdateVifResponse{Vif: s.stored(first(res), req.GetVif()), Revision: res.Revision}, nil
}

// DeleteVif forgets the intent for a VIF, its rules included.
func (s *vifService) DeleteVif(ctx context.Context, req *v1.DeleteVifRequest) (*v1.DeleteVifResponse, error) {
	command := func(uuid string) *storev1.Command {
		return &storev1.Command{Body: &storev1.Command_DeleteVif{DeleteVif: &storev1.Delete{Uuid: uuid, Etag: req.GetEtag()}}}
	}
	res, err := s.write(ctx, mutation{
		requestID: req.GetRequestId(), resource: "vif", etag: req.GetEtag(), probe: command(""),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			vif, err := findVif(v, "vif", req.GetVif())
			if err != nil {
				return nil, err
			}
			return command(vif.GetUuid()), nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.DeleteVifResponse{Revision: res.Revision}, nil
}
