"""OpenFlow, through os-ken: how switches are let in, and an app that lights only the fibres that links use."""
