"""qinetctl: the operator's tool. It asks the controller and shows the answer; it decides nothing."""
