package northbound

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// expectation is who may call some methods, and why.
type expectation struct {
	why     string
	needs   permission
	methods []string // without "/poolwire.v1."
}

// expectations say by hand who may call what, of every method. They are not made from the table that the server reads: the
// tests hold the one against the other, so that a line which is wrong there does not pass as what was meant.
func expectations() []expectation {
	return []expectation{
		{"whoever is known may ask who he is, whether the server lives and which calls there are",
			permission{RoleReadOnly, reachAnyone, effectRead}, []string{
				"AccessService/WhoAmI", "grpc.health.v1.Health/Check", "grpc.health.v1.Health/List", "grpc.health.v1.Health/Watch",
				"grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
			}},
		{"and renew the certificate that he comes with",
			permission{RoleReadOnly, reachAnyone, effectWrite}, []string{"PkiService/RenewCertificate"}},
		{"a reader sees what has been granted to him, one network if need be, and what concerns it",
			permission{RoleReadOnly, reachNetwork, effectRead}, []string{
				"PoolService/GetPool", "PoolService/ListPools", "HostService/GetHost", "HostService/ListHosts",
				"PifService/GetPif", "PifService/ListPifs", "NetworkService/GetNetwork", "NetworkService/ListNetworks",
				"PrivateNetworkService/GetPrivateNetwork", "PrivateNetworkService/ListPrivateNetworks", "PrivateNetworkService/ListMulticastGroups",
				"VifService/GetVif", "VifService/ListVifs", "RuleService/GetRule", "RuleService/ListRules",
				"PolicyService/GetPolicyRule", "PolicyService/ListPolicyRules", "PolicyService/GetEffectivePolicy", "PolicyService/Explain",
				"PolicyService/GetRuleHits", "PolicyService/WatchDenied",
				"AddressGroupService/GetAddressGroup", "AddressGroupService/ListAddressGroups",
				"VifGroupService/GetVifGroup", "VifGroupService/ListVifGroups",
				"ChangeService/ListPendingChanges", "ClusterService/WaitForHosts", "WatchService/Watch",
			}},
		{"who has been granted anything sees his own tokens",
			permission{RoleReadOnly, reachNetwork, effectRead}, []string{"TokenService/ListTokens"}},
		{"and makes and revokes them: they are worth no more than he is",
			permission{RoleReadOnly, reachNetwork, effectWrite}, []string{"TokenService/CreateToken", "TokenService/DeleteToken"}},
		{"how the hosts of a pool are connected, and their flows, are no tenant's",
			permission{RoleReadOnly, reachPool, effectRead}, []string{
				"TunnelService/ListTunnels", "TunnelService/GetTunnelMatrix", "FlowService/DumpFlows",
			}},
		{"how the cluster is, and what is in no pool, is for readers of everything",
			permission{RoleReadOnly, reachCluster, effectRead}, []string{
				"ClusterService/GetClusterStatus", "ClusterService/ListNodes", "ClusterService/GetNodeStatus", "ClusterService/GetClusterSettings",
				"AdoptionService/ListAdoptableNetworks", "TunnelService/DescribeHostGuard", "BackupService/ListLeftovers",
				"PkiService/ListCertificates", "PkiService/GetCaRotation",
			}},
		{"an operator of a network decides about its rules",
			permission{RolePoolOperator, reachNetwork, effectWrite}, []string{
				"RuleService/AddRule", "RuleService/RemoveRule", "RuleService/CreateRule", "RuleService/UpdateRule", "RuleService/DeleteRule",
				"PolicyService/CreatePolicyRule", "PolicyService/UpdatePolicyRule", "PolicyService/DeletePolicyRule",
				"ChangeService/ConfirmChange", "ChangeService/RollbackChange",
			}},
		{"an operator of a pool decides about what is in it",
			permission{RolePoolOperator, reachPool, effectWrite}, []string{
				"PoolService/UpdatePool", "PoolService/DeletePool",
				"HostService/CreateHost", "HostService/UpdateHost", "HostService/DeleteHost", "HostService/ReleaseHost",
				"NetworkService/UpdateNetwork", "VifService/UpdateVif", "VifService/DeleteVif",
				"PrivateNetworkService/CreatePrivateNetwork", "PrivateNetworkService/UpdatePrivateNetwork", "PrivateNetworkService/DeletePrivateNetwork",
			}},
		{"what belongs to no pool, or to no pool yet, is changed by operators of everything",
			permission{RolePoolOperator, reachCluster, effectWrite}, []string{
				"PoolService/CreatePool", "VifService/CreateVif", "AdoptionService/AdoptNetwork", "TunnelService/RotateTunnelKeys",
				"AddressGroupService/CreateAddressGroup", "AddressGroupService/UpdateAddressGroup", "AddressGroupService/ModifyAddressGroup",
				"AddressGroupService/DeleteAddressGroup",
				"VifGroupService/CreateVifGroup", "VifGroupService/UpdateVifGroup", "VifGroupService/ModifyVifGroup", "VifGroupService/DeleteVifGroup",
			}},
		{"an administrator of a pool sees who may do what there",
			permission{RolePoolAdmin, reachPool, effectRead}, []string{"AccessService/ListGrants"}},
		{"and decides about it",
			permission{RolePoolAdmin, reachPool, effectWrite}, []string{"AccessService/CreateGrant", "AccessService/DeleteGrant"}},
		{"records of everybody's doings, and backups with all secrets, are for administrators of everything",
			permission{RolePoolAdmin, reachCluster, effectRead}, []string{
				"AuditService/ListAuditRecords", "AuditService/GetAuditRecord", "AuditService/WatchAuditRecords", "AuditService/ReadAuditChain",
				"BackupService/SaveBackup",
			}},
		{"who makes or takes certificates, moves nodes or replaces the state has the whole cluster",
			permission{RolePoolAdmin, reachCluster, effectWrite}, []string{
				"PkiService/IssueCertificate", "PkiService/RevokeCertificate", "PkiService/RotateCa", "HostService/IssueHostCertificate",
				"ClusterService/AddNode", "ClusterService/RemoveNode", "ClusterService/PromoteNode", "ClusterService/ReplaceNode",
				"ClusterService/TransferLeadership", "ClusterService/UpdateClusterSettings",
				"BackupService/StageBackup", "BackupService/RestoreBackup", "BackupService/TakeOverCluster",
			}},
		{"nodes ask each other how far they are",
			permission{RoleNode, reachCluster, effectRead}, []string{"ClusterService/ReadRevision"}},
		{"and have each other record and sign",
			permission{RoleNode, reachCluster, effectWrite}, []string{
				"AuditService/ReportRefusedCalls", "PkiService/PrepareCa", "PkiService/RecordCertificates", "PkiService/SignCertificate",
			}},
	}
}

// accessWanted is by full method name what callers need.
type accessWanted map[string]permission

func wantedAccess(t *testing.T) accessWanted {
	t.Helper()
	out := accessWanted{}
	for _, e := range expectations() {
		for _, short := range e.methods {
			method := "/" + short
			if !strings.HasPrefix(short, "grpc.") {
				method = "/poolwire.v1." + short
			}
			if _, twice := out[method]; twice {
				t.Errorf("%s is expected twice, also where %s", method, e.why)
			}
			out[method] = e.needs
		}
	}
	return out
}

// allows says whether who has a role granted that reaches so far may call a method. What is not expected, nobody may.
func (w accessWanted) allows(method string, role Role, far reach) bool {
	p := w[method]
	return p.reach == reachAnyone || p.role <= role && p.reach <= far && p.reach != reachNobody
}

// TestPermissionsAreWhatIsMeant: the server's table says of each method that is registered what is expected, and nothing else
// is expected.
func TestPermissionsAreWhatIsMeant(t *testing.T) {
	t.Parallel()
	want, s := wantedAccess(t), newSecured(t)
	registered := map[string]bool{}
	for service, info := range s.server.GetServiceInfo() {
		for _, m := range info.Methods {
			registered["/"+service+"/"+m.Name] = true
		}
	}
	for _, method := range slices.Sorted(maps.Keys(want)) {
		if !registered[method] {
			t.Errorf("%s is expected, and not registered", method)
		}
	}
	for method := range registered {
		p, is := permissions[method], want[method]
		if is.reach == reachNobody {
			t.Errorf("nobody has said who may call %s", method)
		}
		if p != is {
			t.Errorf("%s needs %s on %s, effect %d; want %s on %s, effect %d", method, p.role, p.reach, p.effect, is.role, is.reach, is.effect)
		}
	}
}
